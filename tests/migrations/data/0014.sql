-- Revision 0014 has the same tables as 0013.
\ir 0013.sql
