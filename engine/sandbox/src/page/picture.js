// A picture of the HTML. The browser draws it as an image, and images load nothing from elsewhere and run nothing.
const PICTURE_WIDTH = 800;
// Browsers draw no canvas that is much higher.
const PICTURE_HEIGHT = 30000;
// How high it is, is seen on a small drawing of it: what is not there costs nothing.
const PICTURE_SMALL = 8;
const PICTURE_BAND = 2000;
async function picture(m, path) {
  const width = WIDTHS[S.width][2] || PICTURE_WIDTH;
  const { text, cut } = await textOf(path, HTML_ASKS);
  if (cut) throw new Error('This HTML is too large for a picture');
  const doc = new DOMParser().parseFromString(text, 'text/html');
  doc.querySelectorAll('script, iframe, object, embed, link, base, meta').forEach(e => e.remove());
  const whole = new XMLSerializer().serializeToString(doc.documentElement);
  const most = await drawing(whole, width, PICTURE_HEIGHT), below = await drawing(whole, width, PICTURE_HEIGHT, PICTURE_HEIGHT);
  const isCut = drawnHeight(drawn(below, width, PICTURE_HEIGHT, 1 / PICTURE_SMALL)) > 0;
  const seen = drawnHeight(drawn(most, width, PICTURE_HEIGHT, 1 / PICTURE_SMALL)) * PICTURE_SMALL;
  // The small one blurs edges: a little more is drawn, and then cut to what is there.
  const room = isCut ? PICTURE_HEIGHT : Math.min(PICTURE_HEIGHT, seen + 10 * PICTURE_SMALL);
  const image = room < PICTURE_HEIGHT ? await drawing(whole, width, room) : most;
  const canvas = drawn(image, width, room, 1), height = isCut ? room : Math.min(room, Math.max(40, drawnHeight(canvas) + 16)), out = el('canvas', { width, height });
  out.getContext('2d').drawImage(canvas, 0, 0);
  const blob = await new Promise(done => out.toBlob(done, 'image/png'));
  if (!blob) throw new Error('The browser does not give the picture');
  save(blob, `${m.ID}.png`);
  toast(isCut ? `Picture of the first ${height} pixels saved: the message is longer, printing gives all of it` : `Picture of ${width} by ${height} saved`);
}
// The block around the whole has no height of its own, so what is as high as its surroundings is as high as its content.
async function drawing(whole, width, height, from = 0) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 ${from} ${width} ${height}"><rect y="${from}" width="${width}" height="${height}" fill="white"/>` +
    `<foreignObject width="${width}" height="${from + height}"><div xmlns="http://www.w3.org/1999/xhtml">${whole}</div></foreignObject></svg>`;
  const image = new Image();
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(svg);
  await image.decode().catch(() => { throw new Error('The browser cannot draw this HTML'); });
  return image;
}
function drawn(image, width, height, scale) {
  const canvas = el('canvas', { width: Math.ceil(width * scale), height: Math.ceil(height * scale) });
  canvas.getContext('2d', { willReadFrequently: true }).drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}
// Down to the last row that is not all white, looked at in bands from below.
const WHITE = 0xffffffff;
function drawnHeight(canvas) {
  const { width, height } = canvas, pen = canvas.getContext('2d');
  for (let end = height; end > 0; end -= PICTURE_BAND) {
    const top = Math.max(0, end - PICTURE_BAND), data = new Uint32Array(pen.getImageData(0, top, width, end - top).data.buffer);
    let at = data.length - 1;
    while (at >= 0 && data[at] === WHITE) at--;
    if (at >= 0) return top + Math.ceil((at + 1) / width);
  }
  return 0;
}
