package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v90/github"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/replicate/replicate-go"

	"github.com/vidu-go/vidu"
)

const (
	callbackTable = "callback"
	bodyByHand    = "by hand, HMAC of the body"

	sameChecks  = "by hand, with the same checks"
	callbackURL = "https://example.com/vidu/callback?name=james&age=36"
	nonce       = "f3b1c0de-5a5a-4c1e-9d3c-2f4b8a7d6e5f"
)

var errRefused = errors.New("a valid callback was refused")

// delivery is a callback whose body can be read repeatedly.
type delivery struct {
	*http.Request

	body *bytes.Reader
}

func (d *delivery) Close() error               { return nil }
func (d *delivery) Read(p []byte) (int, error) { return d.body.Read(p) }

// again returns the request with an unread body.
func (d *delivery) again() *http.Request {
	d.body.Reset(callbackBody)
	d.Body = d
	return d.Request
}

var callbackBody = []byte(`{"id":"` + taskID + `","state":"success","payload":"` + strings.Repeat("x", 964) + `"}`)

func newDelivery(ctx context.Context) (*delivery, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, callbackURL, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return &delivery{r, bytes.NewReader(nil)}, nil
}

func sign(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

func accepted(ok bool) error {
	if !ok {
		return errRefused
	}
	return nil
}

// verifications returns the contestants, each with a callback signed in its own form.
func verifications(ctx context.Context) ([]contestant, error) {
	var all [3]*delivery
	for i := range all {
		var err error
		if all[i], err = newDelivery(ctx); err != nil {
			return nil, err
		}
	}
	viduCall, githubCall, standardCall := all[0], all[1], all[2]
	now := time.Now()
	vidu.SignCallback(viduCall.Request, dummyKey, now, nonce)
	key, date := []byte(dummyKey), viduCall.Header.Get("Date")
	signed := []byte("POST\n/vidu/callback\nname=james&age=36\nvidu\n" + date + "\nDate:" + date + "\nx-request-nonce:" + nonce + "\n")
	signature, err := base64.StdEncoding.DecodeString(viduCall.Header.Get("X-Hmac-Signature"))
	if err != nil {
		return nil, err
	}
	githubCall.Header.Set(github.SHA256SignatureHeader, "sha256="+hex.EncodeToString(sign(key, callbackBody)))

	stamp := strconv.FormatInt(now.Unix(), 10)
	standardSignature := sign(key, []byte(nonce+"."+stamp+"."+string(callbackBody)))
	standardCall.Header.Set("Webhook-Id", nonce)
	standardCall.Header.Set("Webhook-Timestamp", stamp)
	standardCall.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(standardSignature))
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
	webhooks := openai.NewClient(option.WithWebhookSecret(secret)).Webhooks

	return []contestant{
		{name: ours, run: func(context.Context) error { return vidu.VerifyCallback(viduCall.Request, dummyKey) }},
		{name: floor, run: func(context.Context) error { return accepted(hmac.Equal(sign(key, signed), signature)) }},
		{name: sameChecks, run: func(context.Context) error { return checkByHand(viduCall.Request, key, time.Now()) }},
		{name: bodyByHand, run: func(context.Context) error {
			return accepted(len(sign(key, callbackBody)) == sha256.Size)
		}},
		{name: "go-github, ValidatePayload", run: func(context.Context) error {
			_, err := github.ValidatePayload(githubCall.again(), key)
			return err
		}},
		{name: "openai-go, Webhooks.VerifySignature", run: func(context.Context) error {
			return webhooks.VerifySignature(callbackBody, standardCall.Header)
		}},
		{name: "replicate-go, ValidateWebhookRequest", run: func(context.Context) error {
			ok, err := replicate.ValidateWebhookRequest(standardCall.again(), replicate.WebhookSigningSecret{Key: secret})
			return errors.Join(err, accepted(ok))
		}},
	}, nil
}

// checkByHand verifies all that the documentation of callbacks demands.
func checkByHand(r *http.Request, key []byte, now time.Time) error {
	date, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		return err
	}
	if age := now.Sub(date).Abs(); age > 5*time.Minute {
		return errRefused
	}
	if r.Method != http.MethodPost || r.Header.Get("X-Hmac-Algorithm") != "hmac-sha256" || r.Header.Get("X-Hmac-Access-Key") != "vidu" {
		return errRefused
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s\n%s\n%s\n%s\n%s\n", r.Method, r.URL.Path, r.URL.RawQuery, "vidu", r.Header.Get("Date"))
	for name := range strings.SplitSeq(r.Header.Get("X-Hmac-Signed-Headers"), ";") {
		if len(r.Header.Values(name)) != 1 {
			return errRefused
		}
		fmt.Fprintf(&text, "%s:%s\n", name, r.Header.Get(name))
	}
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Hmac-Signature"))
	if err != nil {
		return err
	}
	return accepted(hmac.Equal(sign(key, text.Bytes()), signature))
}

func measureCallback(ctx context.Context, b *bench) error {
	contestants, err := verifications(ctx)
	if err != nil {
		return err
	}
	costs, err := compare(ctx, contestants, b.rounds, b.verifications/10, b.verifications)
	if err != nil {
		return err
	}
	t := &table{
		title: "Verifying a callback",
		text: fmt.Sprintf("A callback with a body of %d bytes and a valid signature. “By hand” is `hmac.New`, `Write`, `Sum` and "+
			"`hmac.Equal` over the signed bytes, and nothing else. vidu's vendor signs method, path, query, date and nonce "+
			"(%s); the three peers verify a signature of the body, so theirs is not the same work, and two of them read it "+
			"first. anthropic-sdk-go is left out: it decodes its own events while verifying; the other peers have no such "+
			"function. %d rounds of %d each.",
			len(callbackBody), "vidu reads the headers, checks all of them and the age", b.rounds, b.verifications),
		why:     "vidu reads and checks the headers and the age as well, which the bare HMAC does not.",
		metrics: costMetrics(),
	}
	t.fill(contestants, costs)
	b.tables[callbackTable] = t
	return nil
}
