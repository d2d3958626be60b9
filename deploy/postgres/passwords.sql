-- Sets the password of each login to the one in its database address.
\set owner_url `cat /run/secrets/owner_url`
\set daemon_url `cat /run/secrets/daemon_url`
\set analyst_url `cat /run/secrets/analyst_url`
select format('alter role %I password %L', part[1], part[2])
  from unnest(array[:'owner_url', :'daemon_url', :'analyst_url']) url,
       regexp_match(url, '^postgresql://([^:]+):([^@]+)@') part
\gexec
