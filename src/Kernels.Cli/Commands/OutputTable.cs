using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kernels.Cli.Commands;

/// <summary>
/// Rows for people. They are a table where the terminal has room for one, else a list: a line for each cell, with its title.
/// </summary>
/// <param name="border">The table's border.</param>
/// <param name="columns">Titles, and whether a column is set right and never broken.</param>
internal sealed class OutputTable(TableBorder border, params (string Title, bool IsNumber)[] columns)
{
    private readonly List<string[]> _rows = [];

    public OutputTable(params (string Title, bool IsNumber)[] columns)
        : this(TableBorder.Rounded, columns)
    {
    }

    /// <summary>Adds a row; cells are Spectre markup.</summary>
    public void AddRow(params string[] cells) => _rows.Add(cells);

    public void Write(IAnsiConsole console)
    {
        if (SmallestWidth(console) > console.Profile.Width) WriteList(console);
        else console.Write(ToTable());
    }

    private Table ToTable()
    {
        Table table = new Table().Border(border).BorderColor(Color.Grey);
        foreach ((string title, bool isNumber) in columns)
        {
            TableColumn column = new(new Markup($"[bold]{Markup.Escape(title)}[/]"));
            table.AddColumn(isNumber ? column.RightAligned().NoWrap() : column);
        }

        foreach (string[] row in _rows) table.AddRow(row);
        return table;
    }

    private void WriteList(IAnsiConsole console)
    {
        foreach (string[] row in _rows)
        {
            for (int column = 0; column < columns.Length; column++)
            {
                if (row[column].Length > 0)
                    console.MarkupLine($"[bold]{Markup.Escape(columns[column].Title)}[/] {row[column]}".TrimStart());
            }

            console.WriteLine();
        }
    }

    /// <summary>
    /// Numbers whole, texts broken between words only; three characters for each column's border and padding, and one for the last border.
    /// </summary>
    private int SmallestWidth(IAnsiConsole console)
    {
        RenderOptions options = RenderOptions.Create(console);
        return 1 + columns.Select(WidthOf).Sum();

        int WidthOf((string Title, bool IsNumber) column, int index) =>
            3 + _rows.Select(row => row[index]).Append(Markup.Escape(column.Title)).Max(cell => Width(cell, column.IsNumber));

        int Width(string cell, bool isWhole)
        {
            Measurement measurement = ((IRenderable)new Markup(cell)).Measure(options, int.MaxValue);
            return isWhole ? measurement.Max : measurement.Min;
        }
    }
}
