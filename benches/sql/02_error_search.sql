-- The slowest failed requests of one service in a window of time.
SELECT span_id, name, duration_ns FROM spans
WHERE service = 'svc-07' AND status = 'error' AND time >= '{from}' AND time < '{to}'
ORDER BY duration_ns DESC, span_id LIMIT 20
