-- Requests and errors, minute by minute.
SELECT date_trunc('minute', time) AS minute, count(*) AS requests, count(*) FILTER (WHERE status = 'error') AS errors
FROM spans GROUP BY minute ORDER BY minute
