-- What revision 0024 stores in addition to 0023: nothing.
\ir 0023.sql
