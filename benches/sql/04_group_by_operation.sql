-- The same by service and operation.
SELECT service, name, count(*) AS requests, count(*) FILTER (WHERE status = 'error') AS errors, max(duration_ns) AS slowest
FROM spans GROUP BY service, name ORDER BY service, name
