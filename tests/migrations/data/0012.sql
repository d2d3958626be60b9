-- What revision 0012 stores in addition to 0011: nothing, it changes views and adds an index.
\ir 0011.sql
