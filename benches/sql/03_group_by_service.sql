-- Requests, errors and mean duration of each service.
SELECT service, count(*) AS requests, count(*) FILTER (WHERE status = 'error') AS errors, avg(duration_ns) AS mean
FROM spans GROUP BY service ORDER BY service
