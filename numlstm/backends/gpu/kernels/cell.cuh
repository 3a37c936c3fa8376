// One step of one unit, from its gate inputs.

// c = f c + i g
INLINE REAL next_cell(REAL i, REAL f, REAL g, REAL c, bool hard) {
  i = hard ? hard_sigmoid(i) : sigmoid(i);
  f = hard ? hard_sigmoid(f) : sigmoid(f);
  return f * c + i * tanh(g);
}

// o tanh(c)
INLINE REAL shown(REAL o, REAL tanh_c, bool hard) { return (hard ? hard_sigmoid(o) : sigmoid(o)) * tanh_c; }
