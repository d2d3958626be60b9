-- Revision 0006 has the same tables as 0005.
\ir 0005.sql
