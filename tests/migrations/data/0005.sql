-- Revision 0005 has the same tables as 0004.
\ir 0004.sql
