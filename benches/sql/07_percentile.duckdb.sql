-- 99th percentile of each service.
SELECT service, approx_quantile(duration_ns, 0.99) AS p99 FROM spans GROUP BY service ORDER BY service
