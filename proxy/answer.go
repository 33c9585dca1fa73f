package proxy

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"s3gate/tokens"
	"s3gate/web"
)

// fail answers with the problem that err is, in the form the client asks
// for: a page for browsers, problem+json for those who ask for JSON, both in
// their language, and S3's XML for the rest.
func (x *exchange) fail(err error) {
	x.err = err
	x.hurry()
	var stopped error
	if x.transfer != nil {
		stopped = x.transfer.Err()
	}
	switch {
	case stopped != nil:
		err = stopped // the rest only follows from it
	case x.r.Context().Err() != nil && !errors.Is(err, errShortBody):
		// The client is gone, or looks it. To return would answer 200.
		x.abort()
	}
	if errors.Is(err, tokens.ErrOperation) {
		err = &methodError{allow: x.allowed()}
	}
	p := problemOf(err)
	x.code = p.code
	x.tellRefused(err, p)
	h := x.w.Header()
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retry))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	var rng *rangeError
	if errors.As(err, &rng) && rng.contentRange() != "" {
		h.Set("Content-Range", rng.contentRange())
	}
	if p.status == http.StatusUnauthorized {
		challengeAuth(h, fetched(x.r))
	}
	contentType, body := x.render(p)
	x.sendBody(p.status, contentType, body)
}

// fetched reports whether a page has sent a request, and not a person: browsers say
// so (Fetch Metadata) where they speak TLS, and only pages have tickets to give.
func fetched(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode != "" && mode != "navigate" || r.URL.Query().Has(ticketParam)
}

// sendBody sends a whole answer of the gate's own.
func (x *exchange) sendBody(status int, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.limitAnswer()
	x.writeHeader(status)
	if x.r.Method != http.MethodHead {
		n, _ := x.w.Write(body)
		x.out += int64(n)
	}
}

// allowed lists the methods of a link. POST is the confirm page's form, or begins
// an upload that can be resumed; HEAD and PATCH are for one of those.
func (x *exchange) allowed() string {
	g := x.grant()
	methods := []string{"GET", "HEAD"}
	if g.Operation == tokens.Put {
		methods = []string{"PUT"}
		if x.h.Journal != nil {
			methods = append(methods, "POST", "PATCH", "HEAD")
		}
	}
	if asks(g) && !slices.Contains(methods, "POST") {
		methods = append(methods, "POST")
	}
	if g.SelfRevoke {
		methods = append(methods, "DELETE")
	}
	return strings.Join(append(methods, "OPTIONS"), ", ")
}

func (x *exchange) render(p problem) (contentType string, body []byte) {
	accept := x.r.Header.Get("Accept")
	switch {
	case strings.Contains(accept, "text/html"):
		return web.ContentType, x.renderPage(p)
	case strings.Contains(accept, "json"):
		return "application/problem+json", x.renderJSON(p)
	}
	return "application/xml", x.renderXML(p)
}

// renderJSON follows RFC 9457.
func (x *exchange) renderJSON(p problem) []byte {
	body, _ := json.Marshal(struct {
		Type    string `json:"type"`
		Title   string `json:"title"`
		Status  int    `json:"status"`
		Code    string `json:"code"`
		Detail  string `json:"detail"`
		Request string `json:"request_id"`
	}{"about:blank", http.StatusText(p.status), p.status, p.code, p.in(x.language()), x.id})
	return append(body, '\n')
}

// renderXML follows S3's error documents (Amazon S3 API, "Error responses").
func (x *exchange) renderXML(p problem) []byte {
	body, _ := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
	}{Code: p.code, Message: p.in(web.Language{}), RequestID: x.id})
	return append([]byte(xml.Header), append(body, '\n')...)
}
