package api

// Routes are the patterns of all routes.
func (h *Handler) Routes() []string { return h.routes }

// HoldHashing keeps everybody from hashing until it is released.
func (h *Handler) HoldHashing() (release func()) {
	for range cap(h.hashing) {
		h.hashing <- struct{}{}
	}
	return func() {
		for range cap(h.hashing) {
			<-h.hashing
		}
	}
}
