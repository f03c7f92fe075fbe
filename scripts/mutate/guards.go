package main

// mutations are the guards that keep a paid call from being made twice or lost, a key from getting out, and a hostile
// server from doing harm, each with what it looks like when it is gone.
var mutations = []mutation{
	{
		"one-shot body: net/http can rewind it", "client.go",
		"		req.Body, req.ContentLength = sent, rq.body.size\n",
		"		req.Body, req.ContentLength = sent, rq.body.size\n		req.GetBody = func() (io.ReadCloser, error) { return rq.body.open(), nil }\n",
		"TestN21_|TestRequestHeaders",
	},
	{
		"seal: everything counts as incomplete", "body.go",
		"	o.sealed = true\n	return o.left > 0\n", "	o.sealed = true\n	return true\n",
		"TestN12_|TestN13_|TestC02_",
	},
	{
		"seal: nothing is frozen", "body.go",
		"	o.sealed = true\n	return o.left > 0\n", "	return o.left > 0\n",
		"TestSeal|TestC02_",
	},
	{
		"seal: a read that had begun goes on", "body.go",
		"	if o.sealed && o.left > 0 { // meanwhile", "	if o.sealed && len(p) == 0 { // meanwhile",
		"TestSealDuringARead",
	},
	{
		"create rules: 5xx is sent again", "verdict.go",
		`{name: "5xx", from: 500, to: 599, verdict: ambiguous}`, `{name: "5xx", from: 500, to: 599, verdict: again}`,
		"TestH14_",
	},
	{
		"create rules: no answer is sent again", "verdict.go",
		`{name: "no answer, request may have arrived", verdict: ambiguous}`, `{name: "no answer, request may have arrived", verdict: again}`,
		"TestN12_|TestN13_",
	},
	{
		"create rules: a twin is sent again", "verdict.go",
		`{name: "409, a twin may exist", from: 409, to: 409, verdict: ambiguous}`, `{name: "409, a twin may exist", from: 409, to: 409, verdict: again}`,
		"TestH11_",
	},
	{
		"create rules: a certificate is tried again", "verdict.go",
		"	return errors.As(a.err, &certificate) ||", "	return false && errors.As(a.err, &certificate) ||",
		"TestN05_|TestN06_",
	},
	{
		"wire guard: the transport may repeat for ever", "transport.go",
		"		g.cancel(errResent)\n", "		_ = errResent\n",
		"TestN20_",
	},
	{
		"create transport: keeps connections alive", "transport.go",
		"	t.DisableKeepAlives = true\n", "",
		"TestN15_|TestOwnTransports",
	},
	{
		"create transport: speaks HTTP/2", "transport.go",
		"	t.Protocols.SetHTTP1(true)\n	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}\n",
		"	t.Protocols.SetHTTP1(true)\n	t.Protocols.SetHTTP2(true)\n	t.ForceAttemptHTTP2 = true\n	t.TLSNextProto = nil\n",
		"TestCreatesSpeakHTTP1|TestOwnTransports",
	},
	{
		"recovery: the create is sent again", "reference2video.go",
		"			task, err = found, nil\n		}\n",
		"			task, err = found, nil\n		} else if c.recovery > 0 {\n			return c.Reference2Video(ctx, req)\n		}\n",
		"TestWithRecovery_DoubtRemains",
	},
	{
		"recovery: looks though the context is over", "recovery.go",
		` || doubt.Payload == "" || ctx.Err() != nil {`, ` || doubt.Payload == "" {`,
		"TestWithRecovery_DoesNotLook",
	},
	{
		"recovery: not seen is taken for one of many", "recovery.go",
		"if queried < len(s.candidates) {", "if false {",
		"TestFindTask_TooManyCandidates",
	},
	{
		"recovery: an earlier task passes for the new one", "recovery.go",
		"!c.pacer.knows(t.ID) && ", "",
		"TestWithRecovery_EarlierTaskOfThisClient",
	},
	{
		"recovery: a candidate that fails hides the task", "recovery.go",
		"			failed++\n", "			failed += 9\n",
		"TestFindTask_QueriesFail",
	},
	{
		"recovery: a task on two pages is two", "recovery.go",
		"		case seen[task.ID] || !s.mayBe(task):\n", "		case !s.mayBe(task):\n",
		"TestFindTask_PagesShift",
	},
	{
		"create rules: what a gateway quotes is overlooked", "verdict.go",
		"quotedBeginning.Match(a.body[:min(len(a.body), maxErrorReply)])", "false",
		"TestRefusalThatQuotesAnother",
	},
	{
		"create rules: a torn refusal passes for a whole one", "client.go",
		" || isTornJSON(a.body)\n", "\n",
		"TestRefusalThatCannotBeRead",
	},
	{
		"create rules: a 200 that quotes a beginning is a refusal", "verdict.go",
		"from: 200, to: 299, cause: quotesBeginning, verdict: ambiguous", "from: 200, to: 299, cause: quotesBeginning, verdict: refused",
		"TestRefusalThatQuotesAnother",
	},
	{
		"recovery: a busy server is asked for every candidate", "recovery.go",
		" && failed < maxQueryFailures", "",
		"TestFindTask_ServerIsBusy",
	},
	{
		"media: a size below zero is believed", "media.go",
		"	case info.Size() < 0:\n", "	case info.Size() < -9:\n",
		"TestPreflight",
	},
	{
		"lists: a repeated page token is followed", "list.go",
		"			case next.PageToken:\n", "			case \"\\x00\":\n",
		"TestR24_",
	},
	{
		"lists: an unknown task passes for no endpoint", "list.go",
		" || failure.Code == ErrTaskNotFound {", " {",
		"TestErrNotSupported",
	},
	{
		"redirects: are followed", "transport.go",
		"		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }\n", "		c.CheckRedirect = nil\n",
		"TestH16_",
	},
	{
		"read limits: of bodies", "client.go",
		"readBounded(resp.Body, resp.ContentLength, limit)", "readBounded(resp.Body, resp.ContentLength, 100*limit)",
		"TestErrorBodyIsBounded|TestAnswersThatCannotBeUsed",
	},
	{
		"read limits: of headers", "transport.go",
		"	t.MaxResponseHeaderBytes = maxHeader\n", "",
		"TestH21_",
	},
	{
		"content encoding: is not looked at", "client.go",
		`	encoded := encoding != "" && encoding != "identity"`, `	encoded := encoding == "never"`,
		"TestH24_",
	},
	{
		"decoding: the last of two ids wins", "decode.go",
		"		d.twoIDs = true\n", "		d.task.ID = id\n",
		"TestR03_",
	},
	{
		"ids: anything goes into a path", "client.go",
		"		default:\n			return false\n		}\n	}\n	return 0 < len(id) && len(id) <= 128\n", "		}\n	}\n	return 0 < len(id) && len(id) <= 128\n",
		"TestU01_",
	},
	{
		"key check: any character", "client.go",
		`	case !isPrintableASCII(key) || strings.Contains(key, " "):`, `	case key == "\x00":`,
		"TestU05_",
	},
	{
		"key check: a line break at its end", "client.go",
		`	case strings.TrimRight(key, "\r\n") != key:`, `	case key == "\x00":`,
		"TestU05_",
	},
	{
		"key: plain http to anywhere", "client.go",
		"	case u.Scheme == \"http\" && !insecureHTTP && !isLoopback(u.Hostname()):\n", "	case u.Scheme == \"http\" && !insecureHTTP && u.Hostname() == \"\":\n",
		"TestU04_",
	},
	{
		"key: what servers echo is not masked", "client.go",
		`			s = strings.ReplaceAll(s, spelling, "[redacted]")`, "			_ = spelling",
		"TestU06_|TestH01_",
	},
	{
		"Retry-After: has no cap", "retry.go",
		"	return max(delay, min(failure.RetryAfter, maxRetryAfter))\n", "	return max(delay, failure.RetryAfter)\n",
		"TestH13_|TestRetryDelay",
	},
	{
		"retry budget: has no end", "retry.go",
		"	if b.spent+1 > retryTokens {\n", "	if b.spent < 0 {\n",
		"TestC08_",
	},
	{
		"download: the rest is asked for without If-Range", "transfer.go",
		"		header[\"If-Range\"] = []string{t.validator}\n", "",
		"TestD05_|TestD09_",
	},
	{
		"download: a rest from any offset is taken", "transfer.go",
		"	if first != t.written || last >= total", "	if first < 0 || last >= total",
		"TestD11_",
	},
	{
		"download: a rest of any file is taken", "transfer.go",
		" || !t.isSame(resp.Header) {", " {",
		"TestD09_",
	},
	{
		"download: starting over leaves the old bytes", "transfer.go",
		"	if err := t.file.Truncate(0); err != nil {\n		return err\n	}\n", "",
		"TestD09_",
	},
	{
		"download: starting over appends", "transfer.go",
		"t.file.Seek(0, io.SeekStart)", "t.file.Seek(0, io.SeekCurrent)",
		"TestD09_",
	},
	{
		"download: a writer is started over", "transfer.go",
		"		return fmt.Errorf(\"%w; it cannot be resumed, and a writer cannot be started over\", cause)\n", "		t.written = 0\n		return nil\n",
		"TestD05_|TestD10_",
	},
	{
		"download: takes the caller's cookies along", "transport.go",
		"	downloads.Jar, downloads.Timeout = nil, 0\n", "	downloads.Timeout = 0\n",
		"TestD02_",
	},
	{
		"download: waits for a free connection", "transport.go",
		"	unbounded.MaxConnsPerHost = 0\n", "",
		"TestDownloadsDoNotWait",
	},
	{
		"download: the transport may repeat for ever", "transfer.go",
		"	}).WithContext(guarded)\n", "	}).WithContext(ctx)\n",
		"TestN20_HTTP2Downloads",
	},
	{
		"download: follows https to http", "transfer.go",
		`	if from.Scheme == "https" && to.Scheme != "https" {`, `	if from.Scheme == "never" {`,
		"TestD03_",
	},
	{
		"download: plain http from anywhere", "transfer.go",
		`	case u.Host == "", u.Scheme != "https" && !c.allowsHTTP(u):`, `	case u.Host == "", u.Scheme != "https" && u.Scheme != "http":`,
		"TestDownloadRefusesTheTask|TestR18_",
	},
	{
		"download: the announced size has no limit", "transfer.go",
		"	if t.total > t.d.maxBytes {\n", "	if t.total < -1 {\n",
		"TestD15_",
	},
	{
		"download: the bytes have no limit", "transfer.go",
		"	if int64(len(p)) > t.d.maxBytes-t.written {\n", "	if int64(len(p)) > 4*t.d.maxBytes-t.written {\n",
		"TestD15_",
	},
	{
		"download: a message passes for the file", "transfer.go",
		"	if message.MatchString(contentType) {\n", "	if contentType == \"text/html\" {\n",
		"TestD14_",
	},
	{
		"download: a cut file passes for whole", "transfer.go",
		"	case t.total < 0 && (t.written < minFile || ", "	case t.total < -1 && (t.written < minFile || ",
		"TestD07_",
	},
	{
		"download: every new ETag is progress", "transfer.go",
		"	if etag != t.etag && t.changes < maxStuck {\n", "	if etag != t.etag {\n",
		"TestD09_",
	},
	{
		"download: the signed query is told", "transfer.go",
		"t.c.redact(maskQueries(text))", "t.c.redact(text)",
		"TestD03_|TestD16_",
	},
	{
		"download: temporary files stay", "download.go",
		"		os.Remove(temp.Name()) //nolint:errcheck // after a success there may be nothing to remove\n", "",
		"TestD21_",
	},
	{
		"download: replaces what came meanwhile", "download.go",
		"	err := d.hardLink(temp, path)\n", "	err := os.Rename(temp, path)\n",
		"TestD18_",
	},
	{
		"download: the same without hard links", "download.go",
		"os.O_WRONLY|os.O_CREATE|os.O_EXCL", "os.O_WRONLY|os.O_CREATE",
		"TestD18_|TestD22_",
	},
	{
		"download: is not synced", "download.go",
		"	if err := errors.Join(d.sync(temp), temp.Close()); err != nil {\n", "	if err := temp.Close(); err != nil {\n",
		"TestDownloadFileIsSynced",
	},
	{
		"upload: what the storage says is told", "errors.go",
		"		a.body = nil\n", "",
		"TestUploadImageKeepsTheLinkSecret",
	},
	{
		"upload: where the storage redirects is told", "errors.go",
		"a.status/100 == 3 && rq.signed == nil {", "a.status/100 == 3 {",
		"TestUploadImageKeepsTheLinkSecret",
	},
	{
		"links: may break the request line", "transfer.go",
		"	if err == nil && strings.Contains(link, \" \") {", "	if err == nil && link == \" \" {",
		"TestUploadImageLinks|TestD23_",
	},
}
