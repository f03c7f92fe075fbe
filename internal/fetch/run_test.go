package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/testkit"
)

// refusals are statuses by which a store refuses a link that may be good later, or a new one at once.
var refusals = []string{
	"202 Accepted", "204 No Content", "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "409 Conflict", "410 Gone", "423 Locked",
}

func TestRun_RefusedLinkIsRenewed(t *testing.T) {
	t.Parallel()
	for _, status := range refusals {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			refused := testkit.Always(testkit.RawHTTP(status, "<Error>secret</Error>"))
			store := newStorage(t, refused, testkit.Always(testkit.RawFile(testkit.PlainFile)))
			got, err := store.fetch(t, pauses(func(int) time.Duration { t.Error("a new link is tried at once"); return 0 }))
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
			assert.Equal(t, 1, store.renewals)
			assert.Equal(t, "/fresh?sig=secret2", store.Seen()[1].RequestURI)

			never := newStorage(t, refused)
			_, err = never.fetch(t)
			refusal, ok := errors.AsType[*fetch.AnswerError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, status[:3], strconv.Itoa(refusal.Status))
			assert.Equal(t, strings.TrimPrefix(never.URL, "http://"), refusal.Host)
			require.ErrorContains(t, err, refusal.Host+" answered HTTP "+status[:3])
			require.ErrorContains(t, err, "new links asked for: 4")
			require.NotContains(t, err.Error(), "expired", "nobody says so")
			assert.Len(t, never.Seen(), 5, "tries without progress")
			assert.Equal(t, 4, never.renewals)
		})
	}
}

// TestRun_SameLinkIsTriedAfterPauses: a store may be some seconds behind, and the task has no other link.
func TestRun_SameLinkIsTriedAfterPauses(t *testing.T) {
	t.Parallel()
	refused := testkit.RawHTTP("404 Not Found", "")
	seconds := pauses(func(retry int) time.Duration { return time.Duration(retry) * time.Second })
	for name, tt := range map[string]struct {
		replies []string // the last one for ever
		renewed []string // links, likewise
		change  change
		lasts   time.Duration
		tries   int
		fails   bool
	}{
		"there at the third try":  {[]string{refused, refused, testkit.RawFile(testkit.PlainFile)}, []string{someLink}, seconds, 3 * time.Second, 3, false},
		"there at the fifth try":  {[]string{refused, refused, refused, refused, testkit.RawFile(testkit.PlainFile)}, []string{someLink}, seconds, 10 * time.Second, 5, false},
		"never there":             {[]string{refused}, []string{someLink}, seconds, 10 * time.Second, 5, true},
		"one new link":            {[]string{refused}, []string{"https://h/2?a", "https://h/2?a"}, seconds, 9 * time.Second, 5, true},
		"new links, each signed":  {[]string{refused}, []string{"https://h/2?a", "https://h/2?b", "https://h/2?c", "https://h/2?d"}, seconds, 9 * time.Second, 5, true},
		"the store asks for time": {[]string{testkit.RawHTTP("409 Conflict", "", "Retry-After: 20"), testkit.RawFile(testkit.PlainFile)}, []string{someLink}, seconds, 20 * time.Second, 2, false},
		"for a day":               {[]string{testkit.RawHTTP("202 Accepted", "", "Retry-After: 86400"), testkit.RawFile(testkit.PlainFile)}, []string{someLink}, seconds, time.Minute, 2, false},
		"a message":               {[]string{testkit.RawFile("<html>", "Content-Type: video/mp4"), testkit.RawFile(testkit.PlainFile)}, []string{someLink}, seconds, time.Second, 2, false},
		"busy and refused":        {[]string{testkit.RawHTTP("503 x", ""), refused, refused, testkit.RawHTTP("503 x", ""), refused}, []string{someLink}, seconds, 10 * time.Second, 5, true},
		"once":                    {[]string{refused}, []string{someLink}, once, 0, 1, true},
		"once, a new link":        {[]string{refused}, []string{"https://h/2?a"}, once, 0, 2, true},
		"once, ever new links":    {[]string{refused}, []string{"https://h/2?a", "https://h/2?b"}, once, 0, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries, renewals := 0, 0
				serve := transport(func(r *http.Request) (*http.Response, error) {
					tries++
					return inMemory(r, tt.replies[min(tries, len(tt.replies))-1], false)
				})
				renew := func(_ *fetch.Policy, job *fetch.Job) {
					job.Renew = func(context.Context) (*url.URL, error) {
						renewals++
						return url.Parse(tt.renewed[min(renewals, len(tt.renewed))-1])
					}
				}
				began := time.Now()
				_, err := download(t.Context(), t, someLink, io.Discard, serve, renew, tt.change)
				assert.Equal(t, tt.fails, err != nil, "%v", err)
				assert.Equal(t, tt.lasts, time.Since(began))
				assert.Equal(t, tt.tries, tries)
			})
		})
	}
}

// TestRun_NoTimeForAPause: the refusal is returned when the context would end in the pause.
func TestRun_NoTimeForAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		serve := transport(func(r *http.Request) (*http.Response, error) {
			return inMemory(r, testkit.RawHTTP("403 Forbidden", ""), false)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := download(ctx, t, someLink, io.Discard, serve, renewTo(someLink), pauses(func(int) time.Duration { return time.Minute }))
		require.ErrorContains(t, err, "HTTP 403")
		assert.Zero(t, time.Since(began))
	})
}

func TestRun_LinkCannotBeRenewed(t *testing.T) {
	t.Parallel()
	store := newStorage(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")))
	store.renewErr = errors.New("the task is gone")
	_, err := store.fetch(t)
	require.ErrorContains(t, err, "answered HTTP 403: the store does not accept the link; check whether it opens elsewhere; "+
		"the link could not be renewed: the task is gone")
	require.ErrorIs(t, err, store.renewErr)
	assert.Len(t, store.Seen(), 1)
	assert.Equal(t, 1, store.renewals)
}

// TestRun_RenewalMayPass: the old link is tried again, and a new one is asked for again.
func TestRun_RenewalMayPass(t *testing.T) {
	t.Parallel()
	store := newStorage(t, testkit.Always(testkit.RawHTTP("404 Not Found", "")), testkit.Always(testkit.RawHTTP("404 Not Found", "")),
		testkit.Always(testkit.RawFile(testkit.PlainFile)))
	outage := errors.New("HTTP 503")
	store.renewErr = fetch.MayPass(outage)
	_, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, 2, store.renewals)

	never := newStorage(t, testkit.Always(testkit.RawHTTP("404 Not Found", "")))
	never.renewErr = fetch.MayPass(outage)
	_, err = never.fetch(t)
	require.ErrorIs(t, err, outage)
	require.ErrorContains(t, err, "the link could not be renewed: HTTP 503")
	assert.Len(t, never.Seen(), 5)
	_, err = never.fetch(t, once)
	require.ErrorIs(t, err, outage)
	assert.Len(t, never.Seen(), 6)
}

// TestRun_OldLinkFailsAfterRenewalFailed: a link past its expiry that could not be renewed, and is refused.
func TestRun_OldLinkFailsAfterRenewalFailed(t *testing.T) {
	t.Parallel()
	store := newStorage(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")))
	store.renewErr = errors.New("the task is gone")
	_, err := download(t.Context(), t, store.URL+"/v?Expires=1", io.Discard, store.renew)
	require.ErrorContains(t, err, "the link has expired; the link could not be renewed: the task is gone")
	assert.Equal(t, 1, store.renewals, "asked once")
	assert.Len(t, store.Seen(), 1)
}

// TestRun_LinksThatLiveShort are renewed as often as the transfer makes progress.
func TestRun_LinksThatLiveShort(t *testing.T) {
	t.Parallel()
	store := newStorage(t)
	requests := 0
	store.Storage = testkit.ServeRaw(t, func(r *http.Request) string {
		from := testkit.RangeStart(r)
		switch requests++; {
		case requests%2 == 0:
			return testkit.RawHTTP("403 Forbidden", "")
		case from == 0:
			return testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)
		}
		return testkit.CutBody(testkit.RawRest(testkit.PlainFile, from, testkit.ETagHeader), min(1000, len(testkit.PlainFile)-from))
	})
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
	assert.Equal(t, 16, store.renewals)
}

// once allows one try.
func once(p *fetch.Policy, _ *fetch.Job) { p.Once = true }

// TestRun_LinkStatesItsExpiry: a link that says itself that it is over is not even tried, unless there is no other.
func TestRun_LinkStatesItsExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	signed := func(age time.Duration) string { return now.Add(-age).Format("20060102T150405Z") }
	for name, tt := range map[string]struct {
		query   string
		expired bool
	}{
		"OSS, over":                   {fmt.Sprintf("Expires=%d&OSSAccessKeyId=k", now.Add(-time.Minute).Unix()), true},
		"OSS, good":                   {fmt.Sprintf("Expires=%d&OSSAccessKeyId=k", now.Add(time.Hour).Unix()), false},
		"S3, over":                    {"X-Amz-Date=" + signed(2*time.Hour) + "&X-Amz-Expires=3600&X-Amz-Signature=a%253A;b", true},
		"S3, good":                    {"X-Amz-Expires=86400&X-Amz-Date=" + signed(2*time.Hour), false},
		"OSS v4, over":                {"x-oss-date=" + signed(2*time.Hour) + "&x-oss-expires=3600", true},
		"no date":                     {"X-Amz-Expires=1", false},
		"no number":                   {"Expires=soon&X-Amz-Expires=1x&X-Amz-Date=yesterday", false},
		"a date of another":           {"X-Amz-Expires=1&birth-date=20060102T150405Z", false},
		"Expires, twice":              {fmt.Sprintf("Expires=%d&Expires=1", now.Add(time.Hour).Unix()), true},
		"Expires, two cases":          {fmt.Sprintf("Expires=%d&expires=1", now.Add(time.Hour).Unix()), true},
		"one of two over":             {"X-Amz-Date=" + signed(2*time.Hour) + "&X-Amz-Expires=3600&x-oss-expires=86400&x-oss-date=" + signed(2*time.Hour), true},
		"one of two over, the other":  {"x-oss-date=" + signed(2*time.Hour) + "&x-oss-expires=3600&X-Amz-Expires=86400&X-Amz-Date=" + signed(2*time.Hour), true},
		"over by a time of two kinds": {"Expires=1&X-Amz-Expires=86400&X-Amz-Date=" + signed(time.Hour), true},
		"date of another kind":        {"x-oss-date=" + signed(2*time.Hour) + "&X-Amz-Expires=3600", false},
		"date twice":                  {"X-Amz-Date=" + signed(time.Second) + "&X-Amz-Date=" + signed(2*time.Hour) + "&X-Amz-Expires=3600", true},
		"never":                       {"Expires=0&X-Amz-Expires=0&X-Amz-Date=" + signed(time.Hour), false},
		"other numbers":               {"X-Amz-Date=" + signed(2*time.Hour) + "&width=3600", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStorage(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
			_, err := download(t.Context(), t, store.URL+"/v?"+tt.query, io.Discard, store.renew)
			require.NoError(t, err)
			want := map[bool]string{true: "/fresh?sig=secret2", false: "/v?" + tt.query}[tt.expired]
			require.Len(t, store.Seen(), 1)
			assert.Equal(t, want, store.Seen()[0].RequestURI)

			offline := newStorage(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
			offline.renewErr = errors.New("unavailable")
			_, err = download(t.Context(), t, offline.URL+"/v?"+tt.query, io.Discard, offline.renew)
			require.NoError(t, err, "our clock may be wrong, so the old link gets its chance")
			assert.Equal(t, tt.expired, offline.renewals == 1)
		})
	}
}

// TestRun_LinkExpiresThisSecond: such a link would be over when it arrives.
func TestRun_LinkExpiresThisSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		signed := "X-Amz-Date=" + now.Add(-time.Hour).Format("20060102T150405Z")
		for query, renewed := range map[string]bool{
			fmt.Sprintf("Expires=%d", now.Unix()): true, fmt.Sprintf("Expires=%d", now.Unix()+1): false,
			signed + "&X-Amz-Expires=3600": true, signed + "&X-Amz-Expires=3601": false,
		} {
			var seen string
			serve := transport(func(r *http.Request) (*http.Response, error) {
				seen = r.URL.Path
				return inMemory(r, testkit.RawFile(testkit.PlainFile), false)
			})
			_, err := download(t.Context(), t, "https://h/v?"+query, io.Discard, serve, renewTo("https://h/fresh"))
			require.NoError(t, err)
			assert.Equal(t, map[bool]string{true: "/fresh", false: "/v"}[renewed], seen, query)
		}
	})
}

// TestRun_LinkExpiresMidway: the new link goes on where the old one stopped.
func TestRun_LinkExpiresMidway(t *testing.T) {
	t.Parallel()
	store := newStorage(t,
		testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)),
		testkit.WantRest(t, 1000, `"one"`, testkit.RawHTTP("403 Forbidden", "")),
		testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
	assert.Equal(t, 1, store.renewals)
}

func TestRun_CutIsResumed(t *testing.T) {
	t.Parallel()
	for name, broken := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStorage(t, testkit.Always(broken(testkit.ETagHeader)), testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)

			// A writer is resumed just so.
			var out bytes.Buffer
			again := newStorage(t, testkit.Always(broken(testkit.ETagHeader)), testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
			n, err := again.write(t, &out)
			require.NoError(t, err)
			assert.Equal(t, int64(len(testkit.PlainFile)), n)
			assert.Equal(t, testkit.PlainFile, out.String())
		})
	}
}

func TestRun_CutForEver(t *testing.T) {
	t.Parallel()
	for name, broken := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resumable := newStorage(t, testkit.Always(broken(testkit.ETagHeader)), testkit.Always(""))
			_, err := resumable.fetch(t)
			require.ErrorIs(t, err, io.EOF)
			assert.Len(t, resumable.Seen(), 6, "one try that brought something, five that did not")

			fresh := newStorage(t, testkit.Always(broken()))
			_, err = fresh.fetch(t)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Len(t, fresh.Seen(), 6, "starting over to the same place is no progress")

			var out bytes.Buffer
			writer := newStorage(t, testkit.Always(broken()))
			n, err := writer.write(t, &out)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, "a writer cannot be started over")
			assert.Equal(t, int64(1000), n)
			assert.Equal(t, testkit.PlainFile[:1000], out.String(), "nothing is appended blindly")
			assert.Len(t, writer.Seen(), 1)
		})
	}
}

// TestRun_StartingOverIsNoProgress: only what goes beyond the best try so far counts.
func TestRun_StartingOverIsNoProgress(t *testing.T) {
	t.Parallel()
	tries := 0
	store := newStorage(t, func(*http.Request) string {
		tries++
		if tries == 1 {
			return testkit.CutBody(testkit.RawFile(testkit.PlainFile), 1000)
		}
		return testkit.CutBody(testkit.RawFile(testkit.PlainFile), 100*tries)
	})
	_, err := store.fetch(t)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Len(t, store.Seen(), 6)
}

// TestRun_AnyNumberOfCutsWithProgress: any number of cuts is survived as long as every try brings something.
func TestRun_AnyNumberOfCutsWithProgress(t *testing.T) {
	t.Parallel()
	store := newStorage(t, func(r *http.Request) string {
		from := testkit.RangeStart(r)
		if from == 0 {
			return testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 512)
		}
		return testkit.CutBody(testkit.RawRest(testkit.PlainFile, from, testkit.ETagHeader), min(512, len(testkit.PlainFile)-from))
	})
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
	assert.Len(t, store.Seen(), len(testkit.PlainFile)/512)
}

// TestRun_ProgressOfAnotherObject: what was written of the old object does not count against the new one.
func TestRun_ProgressOfAnotherObject(t *testing.T) {
	t.Parallel()
	store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 15_000)), func(r *http.Request) string {
		from := testkit.RangeStart(r)
		if r.Header.Get("If-Range") != `"two"` {
			return testkit.CutBody(testkit.RawFile(otherFile, `ETag: "two"`), 2000)
		}
		return testkit.CutBody(testkit.RawRest(otherFile, from, `ETag: "two"`), min(2000, len(otherFile)-from))
	})
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, otherFile, got)
	assert.Len(t, store.Seen(), 1+9)
}

// TestRun_ObjectChangesForEver: a server whose ETags never repeat is given up, though every second try brings
// something.
func TestRun_ObjectChangesForEver(t *testing.T) {
	t.Parallel()
	requests := 0
	store := newStorage(t, func(r *http.Request) string {
		requests++
		etag := fmt.Sprintf(`ETag: "%d"`, (requests+1)/2)
		switch from := testkit.RangeStart(r); {
		case requests > 100: // it would go on for ever
			return testkit.RawFile(testkit.PlainFile)
		case from == 1000 && requests%2 == 0:
			return testkit.CutBody(testkit.RawRest(testkit.PlainFile, from, etag), 1000)
		}
		return testkit.CutBody(testkit.RawFile(testkit.PlainFile, etag), 1000)
	})
	_, err := store.fetch(t)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 5*2+5, requests, "two for each new ETag that counts, and five tries")

	// Nor is one that starts the same object over all the time.
	requests = 0
	same := newStorage(t, func(*http.Request) string {
		requests++
		return testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), []int{3000, 1000, 2000}[min(requests-1, 1+requests%2)])
	})
	_, err = same.fetch(t)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 6, requests)
}

// TestRun_Once: one try, but a new link is not a further one.
func TestRun_Once(t *testing.T) {
	t.Parallel()
	store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)))
	got, err := store.fetch(t, once)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, testkit.PlainFile[:1000], got)
	assert.Len(t, store.Seen(), 1)

	expired := newStorage(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")), testkit.Always(testkit.RawFile(testkit.PlainFile)))
	_, err = expired.fetch(t, once)
	require.NoError(t, err)
	assert.Len(t, expired.Seen(), 2)
}

func TestRun_LogsEachTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		serve := transport(func(r *http.Request) (*http.Response, error) {
			testkit.Pass(2 * time.Second)
			switch {
			case r.URL.Path != "/fresh":
				return inMemory(r, testkit.RawHTTP("403 Forbidden", ""), false)
			case r.Header.Get("Range") == "":
				return inMemory(r, testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000), false)
			case r.Header.Get("Range") == "bytes=1000-":
				return nil, errors.New("reset")
			}
			return nil, nil //nolint:nilnil // never
		})
		var tries []fetch.Try
		_, err := download(t.Context(), t, "https://h/v/"+testkit.Key+"?sig=secret", io.Discard, serve, renewTo("https://h/fresh?sig=secret"),
			func(p *fetch.Policy, _ *fetch.Job) {
				p.Log = func(_ context.Context, try fetch.Try) { tries = append(tries, try) }
			})
		require.Error(t, err)
		require.Len(t, tries, 7)
		assert.Equal(t, fetch.Try{Number: 1, URL: "https://h/v/[redacted]", Status: 403, Duration: 2 * time.Second}, tries[0])
		assert.Equal(t, fetch.Try{Number: 2, URL: "https://h/fresh", Status: 200, Duration: 2 * time.Second, To: 1000}, tries[1])
		assert.Equal(t, fetch.Try{Number: 7, URL: "https://h/fresh", Duration: 2 * time.Second, From: 1000, To: 1000}, tries[6])
	})
}

func TestRun_EchoedSecretIsMasked(t *testing.T) {
	t.Parallel()
	serve := transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("proxy says " + testkit.Key) })
	_, err := download(t.Context(), t, someLink, io.Discard, serve)
	require.EqualError(t, err, "proxy says [redacted]")
	for ; err != nil; err = errors.Unwrap(err) {
		assert.NotContains(t, err.Error(), testkit.Key)
	}
}

// TestRun_CanceledMidway: errors.Is finds the end of the context, whatever its cause is and whatever the transport
// says.
func TestRun_CanceledMidway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, transportSays := range []error{nil, errors.New("use of closed network connection")} {
			ctx, cancel := context.WithCancelCause(t.Context())
			serve := transport(func(r *http.Request) (*http.Response, error) {
				resp, err := inMemory(r, testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000), true)
				if transportSays != nil {
					time.AfterFunc(time.Second, func() { cancel(errors.New("enough")) })
					<-r.Context().Done()
					return nil, transportSays
				}
				return resp, err
			})
			_, err := download(ctx, t, someLink, io.Discard, serve, progress(func(int64, int64) { cancel(errors.New("enough")) }))
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

func TestRun_WriterFails(t *testing.T) {
	t.Parallel()
	store := newStorage(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	full := errors.New("no space left")
	n, err := store.write(t, writeFunc(func(p []byte) (int, error) { return 10, full }))
	require.ErrorIs(t, err, full)
	assert.Equal(t, int64(10), n)
	n, err = store.write(t, writeFunc(func(p []byte) (int, error) { return len(p) / 2, nil }))
	require.ErrorIs(t, err, io.ErrShortWrite)
	assert.Positive(t, n)
	assert.Len(t, store.Seen(), 2, "that does not pass")
}

// TestRun_FileCannotBeTruncated: then it cannot be started over.
func TestRun_FileCannotBeTruncated(t *testing.T) {
	t.Parallel()
	store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile), 1000)))
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	_, err = download(t.Context(), t, store.URL+"/v?a", file, progress(func(int64, int64) { file.Close() }))
	require.ErrorIs(t, err, os.ErrClosed)
	assert.Len(t, store.Seen(), 1)

	pipe, other, err := os.Pipe() // which has no beginning
	require.NoError(t, err)
	defer pipe.Close()
	defer other.Close()
	_, err = download(t.Context(), t, store.URL+"/v?a", other)
	require.Error(t, err)
	assert.Len(t, store.Seen(), 2)
}

func TestRun_StallIsResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		serve := transport(func(r *http.Request) (*http.Response, error) {
			tries++
			switch tries {
			case 1:
				return inMemory(r, testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000), true)
			case 2: // not even headers
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			assert.Equal(t, "bytes=1000-", r.Header.Get("Range"))
			return inMemory(r, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader), false)
		})
		began := time.Now()
		var out bytes.Buffer
		_, err := download(t.Context(), t, someLink, &out, serve)
		require.NoError(t, err)
		assert.Equal(t, testkit.PlainFile, out.String())
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

func TestRun_StallsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		serve := transport(func(r *http.Request) (*http.Response, error) {
			tries++
			return inMemory(r, testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 0), true)
		})
		began := time.Now()
		_, err := download(t.Context(), t, someLink, io.Discard, serve)
		require.ErrorContains(t, err, "no data received for 30s")
		require.NotErrorIs(t, err, context.Canceled, "nobody cancelled")
		assert.Equal(t, 5, tries)
		assert.Equal(t, 150*time.Second, time.Since(began))
	})
}

// TestRun_SlowIsNoStall: neither a slow server nor a slow writer is cut off, however long it takes.
func TestRun_SlowIsNoStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		serve := transport(func(r *http.Request) (*http.Response, error) {
			tries++
			resp, err := inMemory(r, testkit.RawFile(testkit.PlainFile), false)
			resp.Body = io.NopCloser(slowly{r.Context(), resp.Body})
			return resp, err
		})
		n, err := download(t.Context(), t, someLink, slowly{}, serve)
		require.NoError(t, err)
		assert.Equal(t, int64(len(testkit.PlainFile)), n)
		assert.Equal(t, 1, tries)
	})
}

// TestRun_Pauses: the client's backoff and the server's wish set the pauses, the context ends them.
func TestRun_Pauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		replies := []string{
			testkit.RawHTTP("503 Slow Down", "", "Retry-After: 7"),                        // 7 s
			testkit.RawHTTP("429 Too Many Requests", ""),                                  // 2 s
			testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000), // progress: 1 s
			testkit.RawHTTP("500 Internal Server Error", "", "Retry-After: 86400"),        // capped: 60 s
			testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader),
		}
		tries := 0
		serve := transport(func(r *http.Request) (*http.Response, error) {
			tries++
			return inMemory(r, replies[tries-1], false)
		})
		seconds := pauses(func(retry int) time.Duration { return time.Duration(retry) * time.Second })
		began := time.Now()
		_, err := download(t.Context(), t, someLink, io.Discard, serve, seconds)
		require.NoError(t, err)
		assert.Equal(t, 70*time.Second, time.Since(began))

		tries = 0
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = download(ctx, t, someLink, io.Discard, serve, seconds)
		require.ErrorContains(t, err, "HTTP 503")
		assert.Equal(t, 1, tries, "no time is left for the pause")

		tries = 0
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		_, err = download(ctx, t, someLink, io.Discard, serve, seconds)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "HTTP 503")
	})
}

func TestRun_StatusesThatAreRetried(t *testing.T) {
	t.Parallel()
	for status, tries := range map[int]int{
		206: 1, 300: 1, 304: 1, 402: 1, 405: 1, 408: 5, 416: 1, 425: 5, 429: 5, 451: 1, 500: 5, 501: 1, 502: 5, 503: 5, 504: 5,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			store := newStorage(t, testkit.Always(testkit.RawHTTP(strconv.Itoa(status)+" x", "")))
			_, err := store.fetch(t)
			require.ErrorContains(t, err, fmt.Sprintf("%s answered HTTP %d", strings.TrimPrefix(store.URL, "http://"), status))
			assert.Len(t, store.Seen(), tries)
			assert.Zero(t, store.renewals)
		})
	}
}

func TestRun_TransportFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err   error
		tries int
	}{
		"reset":        {errors.New("connection reset"), 5},
		"unknown host": {&net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}, 1},
		"quoted link":  {errors.New(`cannot get "https://h/v?sig=secret": refused`), 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			serve := transport(func(*http.Request) (*http.Response, error) {
				tries++
				return nil, tt.err
			})
			_, err := download(t.Context(), t, someLink, io.Discard, serve)
			require.Error(t, err)
			assert.Equal(t, tt.tries, tries)
		})
	}
}

// TestRun_EmptyReads: a transport's body may return nothing and no error; net/http's never does.
func TestRun_EmptyReads(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 503} { // whose body is the file, or something to drain
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var asked, tries int
			serve := transport(func(r *http.Request) (*http.Response, error) {
				tries++
				return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: 1000, Body: readFunc(func([]byte) (int, error) {
					if asked++; asked > 10_000 { // it would go on for ever
						return 0, io.EOF
					}
					return 0, nil
				})}, nil
			})
			_, err := download(t.Context(), t, someLink, io.Discard, serve)
			require.Error(t, err)
			if status == 200 {
				require.ErrorIs(t, err, io.ErrNoProgress)
			}
			assert.Equal(t, 5, tries)
			assert.Equal(t, 5*100, asked)
		})
	}
	t.Run("few of them are no fault", func(t *testing.T) {
		t.Parallel()
		asked := 0
		serve := transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: 20, Body: readFunc(func(p []byte) (int, error) {
				if asked++; asked%50 > 0 {
					return 0, nil
				}
				return copy(p, "\x00"), nil
			})}, nil
		})
		reports := 0
		n, err := download(t.Context(), t, someLink, io.Discard, serve, progress(func(int64, int64) { reports++ }))
		require.NoError(t, err)
		assert.Equal(t, int64(20), n)
		assert.Equal(t, 1, reports, "nothing is not reported, and no byte before the file is judged")
	})
}

// TestRun_BodyEndsEarly without an error: a transport may not compare it with the length; net/http does.
func TestRun_BodyEndsEarly(t *testing.T) {
	t.Parallel()
	tries := 0
	serve := transport(func(r *http.Request) (*http.Response, error) {
		tries++
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: 100, Body: io.NopCloser(strings.NewReader("\x00en bytes."))}, nil
	})
	n, err := download(t.Context(), t, someLink, io.Discard, serve, once)
	require.EqualError(t, err, "90 bytes are missing: unexpected EOF")
	assert.Zero(t, n, "too few to judge the file by")
	_, err = download(t.Context(), t, someLink, io.Discard, serve)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 7, tries, "what was not written can be started over: one try that brought something, and five")
}

// TestRun_BodyIgnoresTheContext: the download does not.
func TestRun_BodyIgnoresTheContext(t *testing.T) {
	t.Parallel()
	asked := 0
	serve := transport(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: 1 << 30, Body: readFunc(func(p []byte) (int, error) {
			asked++
			p[0] = 0
			return 1, nil
		})}, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, err := download(ctx, t, someLink, io.Discard, serve, maxBytes(1<<31), progress(func(done, _ int64) {
		if done == 1000 {
			cancel()
		}
		require.LessOrEqual(t, done, int64(1000))
	}))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, int64(1000), n)
	assert.Equal(t, 1000, asked)
}

// cuts are the ways in which a transfer breaks that everybody notices.
var cuts = map[string]func(header ...string) string{
	"before the length": func(header ...string) string {
		return testkit.CutBody(testkit.RawFile(testkit.PlainFile, header...), 1000)
	},
	"before the last chunk": func(header ...string) string { return testkit.RawChunks(testkit.PlainFile[:1000], false, header...) },
}

// slowly takes its time between two reads and two writes, but never 30 s.
type slowly struct {
	ctx  context.Context //nolint:containedctx // of the request
	from io.Reader
}

func (s slowly) Read(p []byte) (int, error) {
	testkit.Pass(29 * time.Second)
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	return s.from.Read(p[:min(len(p), 1000)])
}

func (s slowly) Write(p []byte) (int, error) {
	testkit.Pass(time.Hour)
	return len(p), nil
}

// writeFunc is a writer made of a function.
type writeFunc func(p []byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }
