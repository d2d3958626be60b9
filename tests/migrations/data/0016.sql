-- Revision 0016 has the same tables as 0015.
\ir 0015.sql
