-- Requests of each service, minute by minute.
SELECT date_trunc('minute', time) AS minute, service, count(*) AS requests
FROM spans GROUP BY minute, service ORDER BY minute, service
