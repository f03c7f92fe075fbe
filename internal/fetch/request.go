package fetch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/scrub"
)

const maxRedirects = 5

// open sends the request and follows redirects itself: net/http would leak the signed query in the Referer header.
func (d *download) open(ctx context.Context) (*http.Response, error) {
	u := d.link
	for hops := 0; ; hops++ {
		d.hop = u
		resp, err := d.send(ctx, u)
		if err != nil {
			return nil, d.transportError(ctx, err)
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return resp, nil
		}
		drain(resp)
		if hops == maxRedirects {
			return nil, fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if u, err = d.policy.follow(u, resp.Header.Get("Location")); err != nil {
			return nil, err
		}
	}
}

// send sends one request. The link goes out byte for byte as it was received, for its query is signed.
func (d *download) send(ctx context.Context, u *url.URL) (*http.Response, error) {
	header := http.Header{}
	maps.Copy(header, d.policy.Header)
	if d.offset > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(d.offset, 10)+"-")
		header.Set("If-Range", d.validator)
	}
	req := (&http.Request{
		Method: http.MethodGet, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
	}).WithContext(ctx)
	resp, err := d.policy.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Request = req // not every transport sets it
	return resp, nil
}

// Repair makes of a link what its author meant: blanks at the ends are cut, and a space becomes "%20". Every other
// byte stays as it is, since the query is signed.
func Repair(link string) string { return strings.ReplaceAll(strings.TrimSpace(link), " ", "%20") }

// follow returns the target of a redirect. A link that was https stays https.
func (p *Policy) follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(Repair(location))
	if location == "" || err != nil {
		return nil, fmt.Errorf("%s redirects without a valid Location", p.shown(from))
	}
	if from.Scheme == "https" && to.Scheme != "https" {
		return nil, fmt.Errorf("%s redirects to %s, which is not an https link", p.shown(from), p.shown(to))
	}
	return to, p.CheckLink(to)
}

// transportError makes the error of a failure of the network: without queries and secrets, matching the end of the
// context even where that was given a cause of its own, and retryable or not.
func (d *download) transportError(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled { //nolint:errorlint // compared by identity: set only by this package
		return &retryableError{err: errStalled}
	}
	if outer, ok := errors.AsType[*url.Error](err); ok { // its text repeats the URL
		err = outer.Err
	}
	err = scrub.Error(err, d.mask)
	ended := ctx.Err()
	if ended != nil && !errors.Is(err, ended) {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	if ended == nil && d.policy.Retryable(err) {
		return &retryableError{err: err}
	}
	return err
}

// mask masks what is secret in the words of a transport, which may quote a query, or a value of one, by itself.
func (d *download) mask(text string) string {
	for _, u := range []*url.URL{d.link, d.hop} {
		text = scrub.QuerySecrets(u.RawQuery).Mask(text)
	}
	return d.policy.Redact(scrub.Queries(text))
}

// pastExpiry reports whether the link itself says that it has expired. The signatures of S3, OSS and their like hold
// that in the query, as a time (Expires) or as a date and a number of seconds (X-Amz-Date and X-Amz-Expires). Of
// several statements one is enough.
func pastExpiry(u *url.URL, now time.Time) bool {
	query := u.Query()
	signed := map[string]time.Time{} // the earliest, by what stands before "-date"
	for name, values := range query {
		if prefix, ok := strings.CutSuffix(strings.ToLower(name), "-date"); ok {
			for _, value := range values {
				date, err := time.Parse("20060102T150405Z", value)
				if earliest, found := signed[prefix]; err == nil && (!found || date.Before(earliest)) {
					signed[prefix] = date
				}
			}
		}
	}
	over := func(name, value string) bool {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds <= 0 {
			return false
		}
		prefix, lasts := strings.CutSuffix(name, "-expires")
		date, dated := signed[prefix]
		return name == "expires" && now.Unix() >= seconds || lasts && dated && now.Unix()-date.Unix() >= seconds
	}
	for name, values := range query {
		if slices.ContainsFunc(values, func(value string) bool { return over(strings.ToLower(name), value) }) {
			return true
		}
	}
	return false
}
