// A picture of the HTML. The browser draws it as an image, and images load nothing from elsewhere and run nothing.
const PICTURE_WIDTH = 800;
const PICTURE_HEIGHT = 6000;
async function picture(m, path) {
  const width = WIDTHS[S.width][2] || PICTURE_WIDTH;
  const { text, cut } = await textOf(path, HTML_ASKS);
  if (cut) throw new Error('This HTML is too large for a picture');
  const doc = new DOMParser().parseFromString(text, 'text/html');
  doc.querySelectorAll('script, iframe, object, embed, link, base, meta').forEach(e => e.remove());
  const whole = new XMLSerializer().serializeToString(doc.documentElement);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${PICTURE_HEIGHT}"><rect width="100%" height="100%" fill="white"/>` +
    `<foreignObject width="100%" height="100%">${whole}</foreignObject></svg>`;
  const image = new Image();
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(svg);
  await image.decode().catch(() => { throw new Error('The browser cannot draw this HTML'); });
  const canvas = el('canvas', { width, height: PICTURE_HEIGHT }), pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const height = drawnHeight(pen, width), out = el('canvas', { width, height });
  out.getContext('2d').drawImage(canvas, 0, 0);
  const blob = await new Promise(done => out.toBlob(done, 'image/png'));
  if (!blob) throw new Error('The browser does not give the picture');
  save(blob, `${m.ID}.png`); toast(`Picture of ${width} by ${height} saved`);
}
// Down to the last row that is not like the one at the very foot.
function drawnHeight(pen, width) {
  const data = new Uint32Array(pen.getImageData(0, 0, width, PICTURE_HEIGHT).data.buffer);
  let at = data.length - 1; const foot = data[at];
  while (at > 0 && data[at] === foot) at--;
  return Math.min(PICTURE_HEIGHT, Math.max(40, Math.ceil(at / width) + 16));
}
