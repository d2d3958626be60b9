-- Revision 0017 stores nothing in addition to 0016.
\ir 0016.sql
