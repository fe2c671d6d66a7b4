/** Small whole models, as text: `net` and what its task minimises, with `OPTIMIZER` where the optimizer stands. */
const task = (inputs: string, batch: number, body: string): string => `
task train() {
  net  = Net()
  data = idx(${inputs
    .split(' ')
    .map((n) => `${n}: "${n}"`)
    .join(', ')})
  fit(batch: ${batch}) on data { ${body} }
}
`;

const block = `TransformerEncoderBlock(2, hidden: 12, activation: gelu`;

export const models: Readonly<Record<string, string>> = {
  resnet:
    `model Net() {
  input image: f32[batch, 8, 8]
  output logits: f32[batch, 3]
  stem = Conv2d(4, kernel: 3, padding: 1, use_bias: false)
  norm = BatchNorm()
  head = Dense(3)
  h = reshape(image, (batch, 1, 8, 8)) |> stem |> norm |> relu
  repeat stage in 2 {
    blocks = ResidualBlock(4 + 2 * stage, stride: stage + 1)
    h = blocks(h)
  }
  logits = h |> GlobalAvgPool() |> head
}` + task('x label', 6, 'minimize cross_entropy(net(x), label) with OPTIMIZER'),

  unet:
    `layer DoubleConv(filters: int) {
  input  x: f32[n, c, h, w]
  output y: f32[n, filters, h, w]
  conv1 = Conv2d(filters, kernel: 3, padding: 1, use_bias: false)
  norm1 = BatchNorm()
  conv2 = Conv2d(filters, kernel: 3, padding: 1, use_bias: false)
  norm2 = BatchNorm()
  y = x |> conv1 |> norm1 |> relu |> conv2 |> norm2 |> relu
}
model Net() {
  input image: f32[batch, 8, 8]
  output mask: f32[batch, 8, 8]
  down = DoubleConv(4)
  bottom = DoubleConv(6)
  grow = ConvTranspose2d(4, kernel: 2, stride: 2)
  up = DoubleConv(4)
  head = Conv2d(1, kernel: 1)
  fine = down(reshape(image, (batch, 1, 8, 8)))
  h = fine |> MaxPool2d(2) |> bottom |> grow
  mask = reshape(head(up(concat([fine, h], axis: 1))), (batch, 8, 8))
}` +
    task(
      'x target',
      4,
      'mask = net(x) minimize binary_cross_entropy(mask, target) + dice(sigmoid(mask), target) with OPTIMIZER',
    ),

  gpt:
    `model Net() {
  input token: i32[batch, time]
  output logits: f32[batch, time, 9]
  embedding = Embedding(9, 6)
  position = PositionalEncoding("learned", longest: 8)
  norm = LayerNorm()
  h = token |> embedding |> position
  repeat 2 {
    block = ${block}, norm_first: true, causal: true)
    h = block(h)
  }
  logits = norm(h) @ transpose(embedding.weight)
}` + task('token', 5, 'minimize cross_entropy(net(token[:, :-1]), token[:, 1:]) with OPTIMIZER'),

  bert:
    `model Net() {
  input token: i32[batch, time]
  output guessed: f32[batch, time, 9]
  output whole: f32[batch, 3]
  embedding = Embedding(9, 6)
  position = PositionalEncoding("learned", longest: 8)
  norm = LayerNorm()
  transform = Dense(6)
  decoder = Dense(9)
  pooler = Dense(6)
  head = Dense(3)
  h = token |> embedding |> position |> norm
  repeat 2 {
    block = ${block})
    h = block(h)
  }
  guessed = h |> transform |> gelu |> decoder
  whole = h[:, 0] |> pooler |> tanh |> head
}` +
    task(
      'token truth label',
      5,
      'found = net(token) minimize cross_entropy(found.guessed, truth, ignore_index: -1) + cross_entropy(found.whole, label) with OPTIMIZER',
    ),

  autoencoder:
    `model Net() {
  input x: f32[batch, 9]
  output y: f32[batch, 9]
  output code: f32[batch, 3]
  in1 = Dense(7)
  in2 = Dense(3)
  out1 = Dense(7)
  out2 = Dense(9)
  code = x |> in1 |> relu |> in2
  y = code |> out1 |> relu |> out2
}` + task('x', 6, 'found = net(x) minimize mse(found.y, x) + 0.01 * activity_l2(found.code) with OPTIMIZER'),

  vae:
    `model Net() {
  input x: f32[batch, 7]
  input noise: f32[batch, 3]
  output y: f32[batch, 7]
  output mu: f32[batch, 3]
  output log_variance: f32[batch, 3]
  enter = Dense(8)
  centre = Dense(3)
  spread = Dense(3)
  leave = Dense(8)
  last = Dense(7)
  h = x |> enter |> relu
  mu = centre(h)
  log_variance = spread(h)
  y = (mu + exp(0.5 * log_variance) * noise) |> leave |> relu |> last
}` +
    task(
      'x noise target',
      6,
      'found = net(x, noise) minimize 7 * binary_cross_entropy(found.y, target) + gaussian_kl(found.mu, found.log_variance) with OPTIMIZER',
    ),

  recommender:
    `model Net() {
  input user: i32[batch]
  input item: i32[batch]
  output score: f32[batch]
  user_factors = Embedding(5, 3)
  item_factors = Embedding(4, 3)
  user_traits = Embedding(5, 3)
  item_traits = Embedding(4, 3)
  user_bias = Embedding(5, 1)
  dense = Dense(7)
  head = Dense(1)
  product = user_factors(user) * item_factors(item)
  h = concat([user_traits(user), item_traits(item)], axis: 1) |> dense |> relu
  score = reshape(head(concat([product, h], axis: 1)) + user_bias(user), (batch,))
}` +
    task(
      'user item rating',
      9,
      'minimize mse(net(user, item), rating) + 0.001 * penalty(parameters(net, "*_factors")) with OPTIMIZER',
    ),

  lstm:
    `model Net() {
  input token: i32[batch, time]
  input length: i32[batch]
  output logits: f32[batch, 3]
  words = Embedding(9, 4)
  lstm = Lstm(5)
  head = Dense(3)
  logits = head(lstm(words(token), mask: steps_before(length, time)).h)
}` + task('token less label', 5, 'minimize cross_entropy(net(token, less + 1), label) with OPTIMIZER'),

  gru:
    `model Net() {
  input x: f32[batch, time, 3]
  input length: i32[batch]
  output logits: f32[batch, 3]
  gru = Gru(4)
  head = Dense(3)
  found = gru(x, mask: steps_before(length, time))
  mean[b, i] = sum(t) found.y[b, t, i] / length[b]
  logits = head(concat([mean, found.h], axis: 1))
}` + task('x less label', 5, 'minimize cross_entropy(net(x, less + 1), label) with OPTIMIZER'),

  stacked:
    `model Net() {
  input x: f32[batch, time, 3]
  input length: i32[batch]
  output logits: f32[batch, 3]
  mask = steps_before(length, time)
  lower = Bidirectional(Lstm(3), Lstm(2, backwards: true))
  upper = Bidirectional(Lstm(3), Lstm(4, backwards: true))
  head = Dense(3)
  h = upper(lower(x, mask: mask), mask: mask)
  mean[b, i] = sum(t) h[b, t, i] / length[b]
  logits = head(mean)
}` + task('x less label', 4, 'minimize cross_entropy(net(x, less + 1), label) with OPTIMIZER'),

  translator:
    `model Net() {
  input source: i32[batch, time]
  input length: i32[batch]
  input given: i32[batch, steps]
  output logits: f32[batch, steps, 9]
  words = Embedding(9, 4)
  said = Embedding(9, 3)
  lstm1 = Lstm(5)
  lstm2 = Lstm(5)
  mix = Dense(6)
  head = Dense(9)
  mask = steps_before(length, time)
  read = lstm1(words(source), mask: mask)
  y = lstm2(said(given), h0: read.h, c0: read.c).y
  seen = attention(y, read.y, read.y, mask: reshape(mask, (batch, 1, time)))
  logits = concat([y, seen], axis: -1) |> mix |> tanh |> head
}` +
    task(
      'source less given truth',
      4,
      'minimize cross_entropy(net(source, less + 1, given), truth, ignore_index: -1) with OPTIMIZER',
    ),

  seq2seq:
    `model Net() {
  input source: i32[batch, time]
  input length: i32[batch]
  input given: i32[batch, steps]
  output logits: f32[batch, steps, 9]
  words = Embedding(9, 4)
  said = Embedding(9, 3)
  reader = Gru(5)
  look = AdditiveAttention(6)
  writer = Gru(5)
  head = Dense(9)
  mask = steps_before(length, time)
  read = reader(words(source), mask: mask)
  g = said(given)
  scan t in steps {
    state h: f32[batch, 5] = read.h
    seen = look(reshape(h, (batch, 1, 5)), read.y, mask)
    h' = writer(concat([g[:, t:t + 1], seen], axis: 2), h0: h).h
    logits[:, t, :] = head(concat([h', seen[:, 0]], axis: 1))
  }
}` +
    task(
      'source less given truth',
      4,
      'minimize cross_entropy(net(source, less + 1, given), truth, ignore_index: -1) with OPTIMIZER',
    ),
};
