// A sign-in link carries its code behind the '#', which no server and no log sees: it is sent in the form.

const form = document.getElementById("sign-in");
const code = new URLSearchParams(location.hash.slice(1)).get("code");
if (code) {
  history.replaceState(null, "", location.pathname + location.search);
  form.elements.code.value = code;
  form.elements.token.required = false;
  form.submit();
}
