-- The tables of revision 0005 are those of 0004.
\ir 0004.sql
