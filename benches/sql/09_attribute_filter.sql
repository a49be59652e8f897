-- An integer attribute filtered and counted by revision.
SELECT service, revision, count(*) AS requests
FROM spans WHERE attributes['http.response.status_code'] >= 500 GROUP BY service, revision ORDER BY service, revision
