// Makes the nbgitpuller link of a chapter for the JupyterHub whose address the reader types.
document.querySelectorAll("form.launch-hub").forEach((form) => {
  const show = () => {
    const output = form.querySelector("output");
    output.textContent = "";
    const hub = form.elements.hub.value.trim().replace(/\/+$/, "");
    if (!/^https?:\/\/[^/\s]+/.test(hub)) return;
    const { repository, branch } = form.dataset;
    const folder = repository.replace(/\/+$/, "").split("/").pop();
    const query = new URLSearchParams({
      repo: repository,
      urlpath: `lab/tree/${folder}/chapters/${form.elements.chapter.value}`,
      branch,
    });
    const link = document.createElement("a");
    link.href = link.textContent = `${hub}/hub/user-redirect/git-pull?${query}`;
    output.append(link);
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
});
