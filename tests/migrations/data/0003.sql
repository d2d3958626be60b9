-- The tables of revision 0003 are those of 0002.
\ir 0002.sql
