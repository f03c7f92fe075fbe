package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	resty2 "github.com/go-resty/resty/v2"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/imroc/req/v3"
	resty3 "resty.dev/v3"
)

// httpPeers are clients for any API. They send and read the same as the floor.
var httpPeers = []entry{
	{
		"go-resty v2", "github.com/go-resty/resty/v2",
		"`R().SetBody().SetResult().Post`", "`R().SetResult().Get`", dialResty2,
	},
	{
		"resty v3 (release candidate)", "resty.dev/v3",
		"`R().SetBody().SetResult().Post`", "`R().SetResult().Get`", dialResty3,
	},
	{
		"imroc/req", "github.com/imroc/req/v3",
		"`R().SetBody().SetSuccessResult().Post`", "`R().SetSuccessResult().Get`", dialReq,
	},
	{
		"go-retryablehttp", "github.com/hashicorp/go-retryablehttp",
		"`json.Marshal`, `Client.Do`, `json.Unmarshal`", "`Client.Do`, `json.Unmarshal`", dialRetryable,
	},
}

func status(code int) error {
	if code != http.StatusOK {
		return fmt.Errorf("HTTP %d", code)
	}
	return nil
}

// newResty2 and newResty3 disable the line that resty prints for every request with a key over http.
func newResty2(httpClient *http.Client) *resty2.Client {
	if httpClient == nil {
		return resty2.New().SetDisableWarn(true)
	}
	return resty2.NewWithClient(httpClient).SetDisableWarn(true)
}

func dialResty2(base string, httpClient *http.Client) (*client, error) {
	c := newResty2(httpClient).SetBaseURL(base + "/vidu/v2").SetAuthToken(dummyKey)
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			var out task
			resp, err := c.R().SetContext(ctx).SetBody(in).SetResult(&out).Post("/reference2video")
			if err != nil {
				return "", err
			}
			return out.TaskID, status(resp.StatusCode())
		},
		poll: func(ctx context.Context, id string) (string, error) {
			var out task
			resp, err := c.R().SetContext(ctx).SetResult(&out).Get("/tasks/" + id + "/creations")
			if err != nil {
				return "", err
			}
			return out.ID, status(resp.StatusCode())
		},
	}, nil
}

func newResty3(httpClient *http.Client) *resty3.Client {
	if httpClient == nil {
		return resty3.New().SetLoggerWarnLevel(true)
	}
	return resty3.NewWithClient(httpClient).SetLoggerWarnLevel(true)
}

func dialResty3(base string, httpClient *http.Client) (*client, error) {
	c := newResty3(httpClient).SetBaseURL(base + "/vidu/v2").SetAuthToken(dummyKey)
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			var out task
			resp, err := c.R().SetContext(ctx).SetBody(in).SetResult(&out).Post("/reference2video")
			if err != nil {
				return "", err
			}
			return out.TaskID, status(resp.StatusCode())
		},
		poll: func(ctx context.Context, id string) (string, error) {
			var out task
			resp, err := c.R().SetContext(ctx).SetResult(&out).Get("/tasks/" + id + "/creations")
			if err != nil {
				return "", err
			}
			return out.ID, status(resp.StatusCode())
		},
	}, nil
}

// newReq gives req the shared transport, since it takes no http.Client.
func newReq(httpClient *http.Client) *req.Client {
	c := req.C()
	if httpClient != nil {
		c.GetTransport().WrapRoundTripFunc(func(http.RoundTripper) req.HttpRoundTripFunc { return httpClient.Transport.RoundTrip })
	}
	return c
}

func dialReq(base string, httpClient *http.Client) (*client, error) {
	c := newReq(httpClient).SetBaseURL(base + "/vidu/v2").SetCommonBearerAuthToken(dummyKey)
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			var out task
			resp, err := c.R().SetContext(ctx).SetBody(in).SetSuccessResult(&out).Post("/reference2video")
			if err != nil {
				return "", err
			}
			return out.TaskID, status(resp.StatusCode)
		},
		poll: func(ctx context.Context, id string) (string, error) {
			var out task
			resp, err := c.R().SetContext(ctx).SetSuccessResult(&out).Get("/tasks/" + id + "/creations")
			if err != nil {
				return "", err
			}
			return out.ID, status(resp.StatusCode)
		},
	}, nil
}

func dialRetryable(base string, httpClient *http.Client) (*client, error) {
	c := retryablehttp.NewClient()
	c.Logger = nil // its default prints a line for every request
	if httpClient != nil {
		c.HTTPClient = httpClient
	}
	do := func(ctx context.Context, method, path string, in []byte, out *task) error {
		var body any
		if in != nil {
			body = in
		}
		r, err := retryablehttp.NewRequestWithContext(ctx, method, base+"/vidu/v2"+path, body)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+dummyKey)
		r.Header.Set("Content-Type", "application/json")
		resp, err := c.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if err := status(resp.StatusCode); err != nil {
			return err
		}
		return json.Unmarshal(text, out)
	}
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			text, err := json.Marshal(in)
			if err != nil {
				return "", err
			}
			var out task
			err = do(ctx, http.MethodPost, "/reference2video", text, &out)
			return out.TaskID, err
		},
		poll: func(ctx context.Context, id string) (string, error) {
			var out task
			err := do(ctx, http.MethodGet, "/tasks/"+id+"/creations", nil, &out)
			return out.ID, err
		},
	}, nil
}
