package vidutest_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

const uploadsPath = "/tools/v2/files/uploads"

// startUpload asks for an upload link and returns it with its id.
func startUpload(t *testing.T, s *vidutest.Server) (id, putURL string) {
	t.Helper()
	got := ask(t, s, http.MethodPost, uploadsPath, `{"scene":"vidu"}`)
	require.NoError(t, got.err)
	require.Equal(t, http.StatusOK, got.status, got.body)
	fields := decode(t, got.body)
	return fields["id"].(string), fields["put_url"].(string)
}

// put uploads a content. A header with an empty value is left out.
func put(t *testing.T, s *vidutest.Server, url string, content io.Reader, header http.Header) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, content)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "image/jpeg")
	for name, values := range header {
		req.Header.Set(name, values[0])
	}
	return do(s, req)
}

func finish(t *testing.T, s *vidutest.Server, id, etag string) reply {
	t.Helper()
	body := encode(t, map[string]string{"etag": etag})
	return ask(t, s, http.MethodPut, uploadsPath+"/"+id+"/finish", string(body))
}

func createFromUpload(t *testing.T, s *vidutest.Server, uri string) reply {
	t.Helper()
	body := strings.Replace(officialBody, "https://example.com/hero.png", uri, 1)
	return ask(t, s, http.MethodPost, "/ent/v2/reference2video", body)
}

func TestUploads(t *testing.T) {
	t.Parallel()
	cover, err := os.ReadFile("assets/cover.jpg")
	require.NoError(t, err)
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithOfficialAPI())
		for _, quote := range []string{`"`, ""} {
			id, putURL := startUpload(t, s)
			got := put(t, s, putURL, strings.NewReader(string(cover)), nil)
			require.NoError(t, got.err)
			require.Equal(t, http.StatusOK, got.status, got.body)
			assert.Empty(t, got.body)
			etag := got.header.Get("ETag")
			assert.Regexp(t, `^"[0-9a-f]{32}"$`, etag)

			uri := "ssupload:?id=" + id
			assertRefused(t, createFromUpload(t, s, uri), http.StatusBadRequest, "FieldInvalid", "images[0]: there is no such upload")
			got = finish(t, s, id, quote+strings.Trim(etag, `"`)+quote)
			require.Equal(t, http.StatusOK, got.status, got.body)
			assert.JSONEq(t, `{"uri":"`+uri+`"}`, got.body)
			assert.Equal(t, http.StatusOK, createFromUpload(t, s, uri).status)
		}
		assert.Equal(t, 2, s.Charged())
		request := s.Requests()[1]
		assert.Equal(t, http.MethodPut, request.Method)
		assert.EqualValues(t, len(cover), request.BodySize, "uploads are in the ledger")
	})
}

func TestUploads_Start(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		fields := decode(t, ask(t, s, http.MethodPost, uploadsPath, `{"scene":"vidu"}`).body)
		assert.Equal(t, "2000-01-01T01:00:00Z", fields["expires_at"])
		assert.Len(t, fields, 3)

		assertRefused(t, ask(t, s, http.MethodPost, uploadsPath, `{"scene":""}`), http.StatusBadRequest, "FieldInvalid", "scene")
		assertRefused(t, ask(t, s, http.MethodPost, uploadsPath, `[]`), http.StatusBadRequest, "BadRequest", "")
		got := do(s, newRequest(t, http.MethodPost, s.URL+uploadsPath, strings.NewReader(`{"scene":"vidu"}`)))
		assertRefused(t, got, http.StatusUnauthorized, "Unauthorized", "")
	})
}

func TestUploads_PutRefuses(t *testing.T) {
	t.Parallel()
	const limit = 10 << 20
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithOfficialAPI())
		id, putURL := startUpload(t, s)
		_, otherURL := startUpload(t, s)
		path, _, _ := strings.Cut(otherURL, "?")
		_, query, _ := strings.Cut(putURL, "?")
		for name, test := range map[string]struct {
			url    string
			body   io.Reader
			header http.Header
			status int
			code   string
		}{
			"key":              {putURL, strings.NewReader("x"), http.Header{"Authorization": {"Token " + vidutest.APIKey}}, 400, "InvalidArgument"},
			"cookie":           {putURL, strings.NewReader("x"), http.Header{"Cookie": {"a=b"}}, 400, "InvalidArgument"},
			"other link":       {path + "?" + query, strings.NewReader("x"), nil, 403, "SignatureDoesNotMatch"},
			"no query":         {path, strings.NewReader("x"), nil, 403, "SignatureDoesNotMatch"},
			"no type":          {putURL, strings.NewReader("x"), http.Header{"Content-Type": {""}}, 400, "InvalidContentType"},
			"JSON":             {putURL, strings.NewReader("x"), http.Header{"Content-Type": {"application/json"}}, 400, "InvalidContentType"},
			"unknown length":   {putURL, io.NopCloser(strings.NewReader("x")), nil, 411, "MissingContentLength"},
			"nothing":          {putURL, http.NoBody, nil, 200, ""},
			"at the limit":     {putURL, strings.NewReader(strings.Repeat("x", limit)), nil, 400, "EntityTooLarge"},
			"just below limit": {putURL, strings.NewReader(strings.Repeat("x", limit-1)), nil, 200, ""},
		} {
			got := put(t, s, test.url, test.body, test.header)
			if test.code == "EntityTooLarge" && got.err != nil {
				continue // the connection may be closed before the answer is read
			}
			require.NoError(t, got.err, name)
			assert.Equal(t, test.status, got.status, name)
			if test.code != "" {
				assert.Contains(t, got.body, "<Code>"+test.code+"</Code>", name)
			}
		}
		got := finish(t, s, id, "x")
		assert.Equal(t, http.StatusBadRequest, got.status)
	})
}

func TestUploads_LinksExpire(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		_, putURL := startUpload(t, s)
		pass(time.Hour - 1)
		assert.Equal(t, http.StatusOK, put(t, s, putURL, strings.NewReader("x"), nil).status)
		pass(1)
		got := put(t, s, putURL, strings.NewReader("x"), nil)
		assert.Equal(t, http.StatusForbidden, got.status)
		assert.Contains(t, got.body, "AccessDenied")
	})
}

func TestUploads_FinishRefuses(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
	defer s.Close()
	id, putURL := startUpload(t, s)
	assertRefused(t, finish(t, s, "1", "x"), http.StatusNotFound, "NotFound", "no such upload")
	assertRefused(t, finish(t, s, id, ""), http.StatusBadRequest, "BadRequest", "nothing was uploaded")
	text := put(t, s, putURL, strings.NewReader("hello"), nil).header.Get("ETag")
	assertRefused(t, finish(t, s, id, "x"), http.StatusBadRequest, "BadRequest", "etag")
	assertRefused(t, finish(t, s, id, text), http.StatusBadRequest, "ImageFormatInvalid", "")
	assertRefused(t, ask(t, s, http.MethodPut, uploadsPath+"/"+id+"/finish", ""), http.StatusBadRequest, "BadRequest", "")

	form := newRequest(t, http.MethodPut, s.URL+uploadsPath+"/"+id+"/finish", strings.NewReader("{}"))
	form.Header.Set("Authorization", "Token "+vidutest.APIKey)
	form.Header.Del("Content-Type")
	assertRefused(t, do(s, form), http.StatusUnsupportedMediaType, "UnsupportedMediaType", "")

	png := put(t, s, putURL, strings.NewReader("\x89PNG\r\n\x1a\n"), nil).header.Get("ETag")
	assert.NotEqual(t, text, png)
	assertRefused(t, finish(t, s, id, text), http.StatusBadRequest, "BadRequest", "etag")
	assert.Equal(t, http.StatusOK, finish(t, s, id, png).status)
	assert.Equal(t, http.StatusOK, finish(t, s, id, png).status, "a second time changes nothing")
}

func TestUploads_CreateRefusesOtherReferences(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
	defer s.Close()
	id, putURL := startUpload(t, s)
	etag := put(t, s, putURL, strings.NewReader("\x89PNG\r\n\x1a\n"), nil).header.Get("ETag")
	require.Equal(t, http.StatusOK, finish(t, s, id, etag).status)
	for _, uri := range []string{"ssupload:", "ssupload:?id=1", "ssupload:" + id, "ssupload:?id=" + id + "&x=1"} {
		assertRefused(t, createFromUpload(t, s, uri), http.StatusBadRequest, "FieldInvalid", "images[0]")
	}
	reference := "ssupload:?id=" + id
	proBody := strings.Replace(officialBody, "viduq2", "viduq2-pro", 1)
	video := strings.Replace(proBody, "{", `{"videos":["`+reference+`"],`, 1)
	assertRefused(t, ask(t, s, http.MethodPost, "/ent/v2/reference2video", video), http.StatusBadRequest, "FieldInvalid", "videos[0]")
	subject := strings.Replace(officialBody, `"images":["https://example.com/hero.png"]`, `"subjects":[{"name":"a","images":["`+reference+`","ssupload:?id=1"]}]`, 1)
	assertRefused(t, ask(t, s, http.MethodPost, "/ent/v2/reference2video", subject), http.StatusBadRequest, "FieldInvalid", "subjects[0].images[1]")
	assert.Zero(t, s.Charged())
}

// An upload that breaks off leaves what was there before.
func TestUploads_BrokenPut(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
	defer s.Close()
	id, putURL := startUpload(t, s)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, putURL, strings.NewReader("\x89PNG\r\n\x1a\n"+strings.Repeat("x", 64<<10)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "image/png")
	req.ContentLength++
	require.Error(t, do(s, req).err)
	require.Eventually(t, func() bool { return received(s) > 16 }, 10*time.Second, time.Millisecond)
	assertRefused(t, finish(t, s, id, ""), http.StatusBadRequest, "BadRequest", "nothing was uploaded")
}
