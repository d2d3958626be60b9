-- The tables of revision 0006 are those of 0005.
\ir 0005.sql
