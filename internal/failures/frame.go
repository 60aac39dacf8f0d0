package failures

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
)

// As much of HTTP/2 (RFC 9113) as a peer needs that reads one request and breaks
// in its own way.
const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4

	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := make([]byte, 9, 9+len(payload))
	b[0], b[1], b[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
	b[3], b[4] = kind, flags
	binary.BigEndian.PutUint32(b[5:], stream)
	return append(b, payload...)
}

// fields encodes header fields literally, without a table (RFC 7541, 6.2.2).
func fields(pairs ...string) []byte {
	var b []byte
	for i, s := range pairs {
		if i%2 == 0 {
			b = append(b, 0)
		}
		n := len(s)
		if n < 127 {
			b = append(b, byte(n))
		} else {
			b = append(b, 127)
			for n -= 127; n >= 128; n >>= 7 {
				b = append(b, byte(n)|128)
			}
			b = append(b, byte(n))
		}
		b = append(b, s...)
	}
	return b
}

// request reads up to the end of the first request and gives its stream.
func request(conn net.Conn) (stream uint32, err error) {
	r := bufio.NewReader(conn)
	if _, err = io.ReadFull(r, make([]byte, len(preface))); err != nil {
		return 0, err
	}
	if _, err = conn.Write(frame(frameSettings, 0, 0, nil)); err != nil {
		return 0, err
	}
	for head := make([]byte, 9); ; {
		if _, err = io.ReadFull(r, head); err != nil {
			return 0, err
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err = io.ReadFull(r, payload); err != nil {
			return 0, err
		}
		switch kind, flags := head[3], head[4]; {
		case kind == frameSettings && flags&flagAck == 0:
			_, err = conn.Write(frame(frameSettings, flagAck, 0, nil))
		case kind == framePing && flags&flagAck == 0:
			_, err = conn.Write(frame(framePing, flagAck, 0, payload))
		case (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0:
			return binary.BigEndian.Uint32(head[5:]) & 0x7fffffff, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
