-- The ten values of an attribute that fail most.
SELECT attributes['http.route'] AS route, count(*) AS requests
FROM spans WHERE status = 'error' GROUP BY route ORDER BY requests DESC, route LIMIT 10
