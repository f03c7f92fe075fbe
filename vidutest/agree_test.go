package vidutest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// The client and the fake share no code, so each has its own tables of the contract. These tests compare them.

// requests are the client's, by endpoint.
var requests = map[string]any{
	"reference2video": vidu.Reference2VideoRequest{},
	"text2video":      vidu.Text2VideoRequest{},
	"img2video":       vidu.Img2VideoRequest{},
	"start-end2video": vidu.StartEnd2VideoRequest{},
}

// The fake knows every field of every request, and of a subject, and no other.
func TestClient_FieldsOfEveryRequest(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	names := func(v any) (all []string) {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
				all = append(all, name)
			}
		}
		return all
	}
	var known []string
	for _, request := range requests {
		known = append(known, names(request)...)
	}
	slices.Sort(known)
	for endpoint, request := range requests {
		has := names(request)
		for _, name := range slices.Compact(known) {
			got := createAt(t, s, endpoint, `{"`+name+`":null}`)
			require.Equal(t, http.StatusBadRequest, got.status)
			assert.Equal(t, slices.Contains(has, name), decode(t, got.body)["reason"] != "FieldUnwanted", "%s %s: %s", endpoint, name, got.body)
		}
	}
	for _, name := range names(vidu.Subject{}) {
		got := createAt(t, s, "reference2video", `{"subjects":[{"`+name+`":null}]}`)
		assert.NotEqual(t, "FieldUnwanted", decode(t, got.body)["reason"], "subject %s: %s", name, got.body)
	}
}

// The client and the fake refuse the same durations and resolutions of every model at every endpoint, and have the same
// defaults.
func TestClient_AgreesOnModels(t *testing.T) {
	t.Parallel()
	models := []vidu.Model{
		vidu.ModelQ3, vidu.ModelQ3Ad, vidu.ModelQ3Drama, vidu.ModelQ3Mix, vidu.ModelQ3Pro, vidu.ModelQ3ProFast, vidu.ModelQ3Turbo,
		vidu.ModelQ2, vidu.ModelQ2Pro, vidu.ModelQ2ProFast, vidu.ModelQ2Turbo, vidu.ModelQ1, vidu.ModelQ1Classic,
		vidu.Model20, vidu.Model15, vidu.ModelQ4Preview, //nolint:staticcheck // servers still have what is deprecated
	}
	shapes := []fields{
		{"off_peak": true}, {"off_peak": true, "audio": true}, {"off_peak": true, "audio": false}, {"duration": 0},
	}
	for duration := 1; duration < 17; duration++ {
		shapes = append(shapes, fields{"duration": duration})
	}
	for _, resolution := range []string{"360p", "540p", "720p", "1080p"} {
		shapes = append(shapes, fields{"resolution": resolution})
		for _, duration := range []int{4, 5, 8} {
			shapes = append(shapes, fields{"resolution": resolution, "duration": duration})
		}
	}
	for _, n := range []int{3, 4, 7} {
		shapes = append(shapes, fields{"images": repeat(n, picture)}, subjects(repeat(n, `{"name":"a","images":["`+picture+`"]}`)...))
		shapes = append(shapes, fields{"images": repeat(n, picture), "videos": []string{film}})
	}
	for endpoint, request := range map[string]interface{ Validate() error }{
		"reference2video": &vidu.Reference2VideoRequest{},
		"text2video":      &vidu.Text2VideoRequest{},
		"img2video":       &vidu.Img2VideoRequest{},
		"start-end2video": &vidu.StartEnd2VideoRequest{},
	} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			server := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0))
			defer server.Close()
			accepted, refused := 0, 0
			for _, model := range models {
				for _, shape := range shapes {
					if _, has := shape["images"]; has && endpoint != "reference2video" {
						continue
					}
					// What the caller says, of which the client makes the wire form with its defaults.
					set := merge(fields{"model": model, "duration": nil, "resolution": nil}, shape)
					require.NoError(t, json.Unmarshal([]byte(edit(t, goodBodies[endpoint], set)), reset(request)))
					body := edit(t, string(encode(t, request)), fields{})
					invalid, got := request.Validate(), httptest.NewRecorder()
					server.ServeHTTP(got, newRequest(t, http.MethodPost, server.URL+"/vidu/v2/"+endpoint, strings.NewReader(body)))
					if strings.Contains(got.Body.String(), "FieldLacking") {
						continue // no default is documented
					}
					assert.Equal(t, invalid == nil, got.Code == http.StatusOK, "%s: %v, %s", body, invalid, got.Body)
					if invalid == nil {
						accepted++
					} else {
						refused++
					}
				}
			}
			assert.Greater(t, min(accepted, refused), 20)
		})
	}
}

// reset makes a request empty.
func reset(request any) any {
	reflect.ValueOf(request).Elem().SetZero()
	return request
}
