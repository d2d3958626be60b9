-- What revision 0012 stores in addition to 0011: nothing, it changes views.
\ir 0011.sql
