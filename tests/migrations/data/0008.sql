-- The tables of revision 0008 are those of 0007.
\ir 0007.sql
