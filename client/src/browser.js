/**
 * Ties a client to the page it lives in. In Node there is no page, and nothing happens.
 * @param {{wake: () => void, offline: () => void, save: () => void, unsave: () => void}} hooks
 * @returns {() => void} unties it
 */
export function followPage({ wake, offline, save, unsave }) {
  if (typeof window === "undefined" || typeof document === "undefined") return () => {};
  const visible = () => document.visibilityState === "visible" && wake();
  /** @param {PageTransitionEvent} event */
  const shown = (event) => {
    // Back from the back-forward cache: this page lives on and owns its client id again.
    if (!event.persisted) return;
    unsave();
    wake();
  };
  window.addEventListener("online", wake);
  window.addEventListener("offline", offline);
  window.addEventListener("pageshow", shown);
  window.addEventListener("pagehide", save);
  document.addEventListener("visibilitychange", visible);
  return () => {
    window.removeEventListener("online", wake);
    window.removeEventListener("offline", offline);
    window.removeEventListener("pageshow", shown);
    window.removeEventListener("pagehide", save);
    document.removeEventListener("visibilitychange", visible);
  };
}
