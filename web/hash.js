// The SHA-256 of files, beside the page: WebCrypto has it only of what is in
// memory as a whole.

// SHA256 takes a message in pieces (FIPS 180-4).
class SHA256 {
  constructor() {
    const primes = [], fraction = (x) => (x % 1) * 2 ** 32 | 0;
    for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
    this.k = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)));
    this.h = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));
    this.w = new Int32Array(64);
    this.block = new Uint8Array(64); // what does not fill one yet
    this.filled = 0;
    this.length = 0; // bytes
  }

  update(bytes) {
    let at = 0;
    this.length += bytes.length;
    if (this.filled) {
      at = Math.min(64 - this.filled, bytes.length);
      this.block.set(bytes.subarray(0, at), this.filled);
      this.filled += at;
      if (this.filled < 64) return;
      this.mix(this.block, 0);
    }
    for (; at + 64 <= bytes.length; at += 64) this.mix(bytes, at);
    this.block.set(bytes.subarray(at));
    this.filled = bytes.length - at;
  }

  mix(bytes, at) {
    const { k, h, w } = this;
    for (let i = 0; i < 16; i++, at += 4) w[i] = bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3, r = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10;
      w[i] = (w[i - 16] + s | 0) + (w[i - 7] + r | 0) | 0;
    }
    let a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], z = h[7];
    for (let i = 0; i < 64; i++) {
      const s = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7), r = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
      const one = ((z + s | 0) + (e & f ^ ~e & g) | 0) + (k[i] + w[i] | 0) | 0, two = r + (a & b ^ a & c ^ b & c) | 0;
      z = g; g = f; f = e; e = d + one | 0; d = c; c = b; b = a; a = one + two | 0;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += z;
  }

  // hex ends the message.
  hex() {
    const end = new DataView(new ArrayBuffer((this.filled < 56 ? 64 : 128) - this.filled));
    end.setUint8(0, 0x80);
    end.setUint32(end.byteLength - 8, this.length / 2 ** 29);
    end.setUint32(end.byteLength - 4, this.length % 2 ** 29 * 8);
    this.update(new Uint8Array(end.buffer));
    return Array.from(this.h, (n) => (n >>> 0).toString(16).padStart(8, "0")).join("");
  }
}

// hashing is the worker: it reads one file after the other, slice by slice, and
// tells of each how far it is and what came out; "" for one that cannot be read.
function hashing() {
  const slice = 4 << 20, dropped = new Set();
  let work = Promise.resolve();
  async function read(id, file) {
    const hash = new SHA256();
    try {
      for (let at = 0; at < file.size && !dropped.has(id); at += slice) {
        postMessage({ id, done: at / file.size });
        hash.update(new Uint8Array(await file.slice(at, at + slice).arrayBuffer()));
      }
      postMessage({ id, sum: dropped.has(id) ? "" : hash.hex() });
    } catch {
      postMessage({ id, sum: "" });
    }
  }
  onmessage = ({ data: { id, file } }) => {
    if (file) work = work.then(() => read(id, file));
    else dropped.add(id);
  };
}

let hasher; // the worker; undefined before the first file, and null if it does not work
const hashed = []; // by number, what hears of a file

function startHasher() {
  try {
    hasher = new Worker(URL.createObjectURL(new Blob([SHA256, "\n(", hashing, ")();"], { type: "text/javascript" })));
  } catch {
    hasher = null;
    return;
  }
  hasher.onmessage = ({ data }) => hashed[data.id](data);
  hasher.onerror = () => {
    hasher = null;
    hashed.forEach((hears) => hears({ sum: "" }));
  };
}

// sha256 promises the checksum of a file in hex; "" if there will be none, as
// where a browser has no such workers. progress hears how much is done, of 1.
function sha256(file, signal, progress) {
  if (hasher === undefined) startHasher();
  if (!hasher) return Promise.resolve("");
  return new Promise((resolve) => {
    const id = hashed.push(({ done, sum }) => (sum === undefined ? progress(done) : resolve(sum))) - 1;
    hasher.postMessage({ id, file });
    signal.addEventListener("abort", () => hasher && hasher.postMessage({ id }));
  });
}
