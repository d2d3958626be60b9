-- Revision 0003 has the same tables as 0002.
\ir 0002.sql
