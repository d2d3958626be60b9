-- Revision 0017 stores nothing in addition to 0015.
\ir 0015.sql
