package console

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"rsc.io/qr"
)

// maxCoded is the longest text that a QR code is made of, in bytes.
const maxCoded = 1024

// drawing is a QR code for an SVG: a path in a square of Size modules, with the
// quiet zone of ISO/IEC 18004 around it.
type drawing struct {
	Size int    `json:"size"`
	Path string `json:"path"`
}

// code answers with the QR code of the body, which is a link. It comes in the body,
// since addresses are logged.
func (h *Handler) code(w http.ResponseWriter, r *http.Request) {
	if _, ok := h.trusted(w, r); !ok {
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCoded))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "A link of at most "+strconv.Itoa(maxCoded)+" bytes is wanted.")
		return
	}
	code, err := qr.Encode(string(text), qr.M)
	if err != nil {
		refuse(w, http.StatusBadRequest, "This text does not fit into a QR code.")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(draw(code)) // the client may be gone
}

// draw makes one stroke of each run of black modules.
func draw(code *qr.Code) drawing {
	const quiet = 4
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for code.Black(x, y) {
				x++
			}
			if n := x - from; n > 0 {
				path.WriteString("M" + strconv.Itoa(from+quiet) + " " + strconv.Itoa(y+quiet) + "h" + strconv.Itoa(n) + "v1h-" + strconv.Itoa(n) + "z")
			}
		}
	}
	return drawing{code.Size + 2*quiet, path.String()}
}
