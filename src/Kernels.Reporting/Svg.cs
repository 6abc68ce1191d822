using System.Net;
using System.Text;

namespace Kernels.Reporting;

/// <summary>Maps values to pixels, linearly.</summary>
internal readonly record struct Scale(double From, double To, double PixelFrom, double PixelTo)
{
    public double this[double value] => PixelFrom + ((value - From) / (To - From) * (PixelTo - PixelFrom));

    /// <summary>Round values inside the scale, about <paramref name="count"/> of them: 1, 2 or 5 times a power of ten apart.</summary>
    public IEnumerable<double> Ticks(int count)
    {
        double raw = (To - From) / count;
        double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = power * ((raw / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 });
        // Adding zero turns a negative zero into a plain one.
        for (double i = Math.Ceiling((From / step) - 1e-9); i * step <= To + (step * 1e-9); i++) yield return (i * step) + 0.0;
    }
}

/// <summary>
/// Writes one drawing. Colours and dashes are classes: the page's style sheet decides how they look on screen and on paper.
/// </summary>
internal sealed class Svg
{
    private readonly StringBuilder _body = new();
    private readonly string _open;

    public Svg(string id, int width, int height, string title, string description)
    {
        _open = $"""
            <svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{id}-title {id}-description">
            <title id="{id}-title">{Escape(title)}</title>
            <desc id="{id}-description">{Escape(description)}</desc>
            """;
    }

    public static string Escape(string text) => WebUtility.HtmlEncode(text);

    public void Line(double x1, double y1, double x2, double y2, string style) =>
        _body.Append($"\n<line class=\"{style}\" x1=\"{x1:0.#}\" y1=\"{y1:0.#}\" x2=\"{x2:0.#}\" y2=\"{y2:0.#}\" />");

    public void Circle(double x, double y, double radius, string style) =>
        _body.Append($"\n<circle class=\"{style}\" cx=\"{x:0.#}\" cy=\"{y:0.#}\" r=\"{radius:0.#}\" />");

    public void Text(double x, double y, string text, string style, string anchor = "start") =>
        _body.Append($"\n<text class=\"{style}\" x=\"{x:0.#}\" y=\"{y:0.#}\" text-anchor=\"{anchor}\">{Escape(text)}</text>");

    public void Polyline(IEnumerable<(double X, double Y)> points, string style) =>
        _body.Append($"\n<polyline class=\"{style}\" points=\"{Points(points)}\" />");

    public void Polygon(IEnumerable<(double X, double Y)> points, string style) =>
        _body.Append($"\n<polygon class=\"{style}\" points=\"{Points(points)}\" />");

    public override string ToString() => $"{_open}{_body}\n</svg>";

    private static string Points(IEnumerable<(double X, double Y)> points) =>
        string.Join(' ', points.Select(point => $"{point.X:0.#},{point.Y:0.#}"));
}
