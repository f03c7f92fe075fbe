package main

// waitingMutations are the guards of waiting and of callbacks.
var waitingMutations = []mutation{
	{
		"callbacks: any signature will do", "signature.go",
		"	if !ok {\n		return fmt.Errorf(\"%w: another secret", "	if !ok && u == nil {\n		return fmt.Errorf(\"%w: another secret",
		"TestK20_|TestK24_",
	},
	{
		"callbacks: a Date of any age", "signature.go",
		"off.Abs() > cfg.tolerance", "off.Abs() > 1<<62",
		"TestK07_",
	},
	{
		"callbacks: the nonce need not be signed", "signature.go",
		"	if !m.covers(\"Date\") || !m.covers(nonceHeader) {", "	if !m.covers(\"Date\") {",
		"TestK16_",
	},
	{
		"callbacks: an empty secret", "callback.go",
		"err := cfg.checkSecrets(); err != nil && !cfg.unverified {", "err := cfg.checkSecrets(); err != nil && cfg.unverified {",
		"TestK25_",
	},
	{
		"callbacks: a nonce counts twice", "callback.go",
		"	succeeded = err == nil\n", "	succeeded = false\n",
		"TestK04_",
	},
	{
		"callbacks: what failed is not repeated", "callback.go",
		"	succeeded = err == nil\n", "	succeeded = true\n",
		"TestK06_",
	},
	{
		"callbacks: a body without end", "callback.go",
		"http.MaxBytesReader(w, r.Body, maxCallback)", "http.MaxBytesReader(w, r.Body, 1<<40)",
		"TestK22_",
	},
	{
		"callbacks: strangers' queries are repeated", "callback.go",
		"		single.maxAttempts = 1 ", "		_ = single.maxAttempts ",
		"TestCallback_UnverifiedFlood",
	},
	{
		"callbacks: strangers make polling rely on them", "wait.go",
		"			w.pace.woken = w.pace.woken || genuine\n", "			w.pace.woken = genuine || true\n",
		"TestWake_ProvesThatCallbacksArrive",
	},
	{
		"waiting: a lost callback changes nothing", "schedule.go",
		"		p.heard = 0\n", "		_ = p.heard\n",
		"TestWake_ProvesThatCallbacksArrive",
	},
	{
		"waiting: callbacks bring any number of queries", "wait.go",
		"		soonest = max(soonest, a.rung+minGap)\n", "		soonest = max(soonest, a.rung)\n",
		"TestWake_Flood",
	},
	{
		"waiting: callbacks of one task starve the others", "waitall.go",
		"(!f.hurried || !isDue)", "(isDue || true)",
		"TestWaitAll_FloodOfWakes",
	},
	{
		"waiting: an outage ends it", "wait.go",
		"	return (heard && !answered) || isTransient(failure)\n", "	return heard && !answered && isTransient(failure)\n",
		"TestWait_|TestN24_",
	},
	{
		"waiting: a list takes what was asked for just now", "waitall.go",
		"(m.failing || now-m.pace.asked < minGap)", "m.failing",
		"TestWaitAll_ListsGather",
	},
	{
		"waiting: an answer's failure is taken for the task's", "decode.go",
		` && (d.task.ID != "" || d.status != StateFailed) {`, " {",
		"TestWait_FailureOfTheAnswer",
	},
	{
		"waiting: one odd list ends them for good", "waitall.go",
		"		f.lists = min(f.lists, f.client.pacer.now())", "		_ = pause",
		"TestWaitAll_ListIsOddAmongTheFirst",
	},
	{
		"waiting: lists break Retry-After", "waitall.go",
		"(m.failing || now-m.pace.asked < minGap)", "(now-m.pace.asked < minGap)",
		"TestWaitAll_ListsKeepRetryAfter",
	},
	{
		"callback: a signed digest is not looked at", "signature.go",
		"	return m.checkDigest(r)\n", "	return nil\n",
		"TestK16_Digest",
	},
	{
		"waiting: the rate has no limit", "waitall.go",
		"		f.free = now + seconds64(1/f.config.rate)\n", "		f.free = now\n",
		"TestWaitAll_",
	},
}
