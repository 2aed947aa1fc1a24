// The token of this tab: from the form, or from the fragment of the address (#token=...), which a browser does not send. It is
// in sessionStorage, so the tab forgets it when it closes, and never in the address or in localStorage.

const STORAGE_KEY = "tickcast.token";
const FRAGMENT = "#token=";

// Splits a fragment into its token, null without one, and the fragment that is left: "#token=T&AAPL" has the topics "#AAPL".
export function splitFragment(hash) {
  if (!hash.startsWith(FRAGMENT)) return { token: null, hash };
  const [token, ...rest] = hash.slice(FRAGMENT.length).split("&");
  return { token: token.trim(), hash: rest.length > 0 ? "#" + rest.join("&") : "" };
}

export class Access {
  token; // "" = none
  #storage;

  // storage is sessionStorage, or null where there is none: then the token ends with the page.
  constructor(storage) {
    this.#storage = storage;
    try {
      this.token = storage?.getItem(STORAGE_KEY) ?? "";
    } catch {
      this.token = "";
    }
  }

  // Replaces the token; "" forgets it.
  replace(token) {
    this.token = token.trim();
    try {
      if (this.token === "") this.#storage?.removeItem(STORAGE_KEY);
      else this.#storage?.setItem(STORAGE_KEY, this.token);
    } catch {
      // Forbidden: this page alone has it.
    }
  }
}
