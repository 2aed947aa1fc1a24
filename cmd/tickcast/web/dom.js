// Changes of the document that cost little.

// Changes an element's text, without a new node where its length stays.
export function setText(element, text) {
  const node = element.firstChild;
  // A text that grows to the left would count as one that moves; a new one does not.
  if (node === null || node.data.length !== text.length) element.textContent = text;
  else if (node.data !== text) node.data = text;
}

// A copy of the element in a template.
export function clone(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}
