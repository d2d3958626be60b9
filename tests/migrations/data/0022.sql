-- What revision 0022 stores in addition to 0021: nothing.
\ir 0021.sql
