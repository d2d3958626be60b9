-- What revision 0010 stores in addition to 0009: nothing, it changes views.
\ir 0009.sql
