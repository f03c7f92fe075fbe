package backoff_test

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	tests := map[string]time.Duration{
		"":                               0,
		"7":                              7 * time.Second,
		"-7":                             0,
		"7.5":                            0,
		"soon":                           0,
		"315360000":                      10 * 365 * 24 * time.Hour,
		"9223372036854775807":            10 * 365 * 24 * time.Hour,
		"99999999999999999999":           0,
		"Sun, 22 Nov 2026 10:00:30 GMT":  30 * time.Second,
		"Sun, 22 Nov 2026 09:00:00 GMT":  0,
		"Sunday, 22-Nov-26 10:01:00 GMT": time.Minute,
	}
	for header, want := range tests {
		assert.Equal(t, want, vidu.ParseRetryAfter(header, now), header)
	}
}

func TestFullJitter(t *testing.T) {
	t.Parallel()
	for retry, limit := range map[int]time.Duration{1: 500 * time.Millisecond, 2: time.Second, 5: 8 * time.Second, 60: 8 * time.Second} {
		longest := time.Duration(0)
		for range 1000 {
			pause := vidu.FullJitter(retry)
			require.GreaterOrEqual(t, pause, time.Duration(0))
			require.Less(t, pause, limit)
			longest = max(longest, pause)
		}
		assert.Greater(t, longest, limit/2, "retry %d", retry)
	}
}
