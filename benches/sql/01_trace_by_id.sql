-- Every span of one trace.
SELECT span_id, service, name, duration_ns FROM spans WHERE trace_id = '{trace_id}' ORDER BY span_id
